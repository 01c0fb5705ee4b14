// See chat_answer.h.
#include "api/chat_answer.h"

#include <algorithm>
#include <utility>

#include "api/errors.h"
#include "api/generation_settings.h"
#include "api/handler.h"
#include "api/json_output.h"
#include "api/logprobs_json.h"
#include "api/native_answer.h"
#include "api/stats_json.h"

namespace foretoken::api {
namespace {

/// Appends, joining neighbours of one kind.
void append_merged(std::vector<ChatDelta>& into, const std::vector<ChatDelta>& deltas) {
  for (const ChatDelta& delta : deltas) {
    const bool text = delta.kind == ChatDelta::Kind::Reasoning ||
                      delta.kind == ChatDelta::Kind::Content ||
                      delta.kind == ChatDelta::Kind::CallArguments;
    if (text && !into.empty() && into.back().kind == delta.kind && into.back().call == delta.call) {
      into.back().text += delta.text;
    } else {
      into.push_back(delta);
    }
  }
}

}  // namespace

/// One reply's ear; keeps the answer alive while the reply runs.
class ChatAnswer::Listener : public ChatListener {
 public:
  Listener(std::shared_ptr<ChatAnswer> answer, int index)
      : answer_(std::move(answer)), index_(index) {}
  void on_start(int /*n_prompt*/, int /*n_cached*/) override { answer_->on_start(); }
  void on_progress(int processed, int total, int cached, double ms) override {
    scheduler::Timings timings;
    timings.cache_n = cached;
    timings.prompt_n = processed - cached;
    timings.prompt_ms = ms;
    answer_->on_progress(index_, timings, processed, total);
  }
  void on_token(const std::vector<ChatDelta>& deltas, const TokenLogprob* logprob,
                const scheduler::Timings& timings) override {
    answer_->on_token(index_, deltas, logprob, timings);
  }
  void on_finish(const std::vector<ChatDelta>& deltas, const ChatFinish& finish) override {
    answer_->on_finish(index_, deltas, finish);
  }

 private:
  std::shared_ptr<ChatAnswer> answer_;
  int index_;
};

ChatAnswer::ChatAnswer(ContextPtr context, std::shared_ptr<const ChatRequest> request,
                       http::ExchangePtr exchange)
    : context_(std::move(context)),
      request_(std::move(request)),
      exchange_(std::move(exchange)),
      head_(make_answer_head(*context_)),
      channel_(exchange_, request_->fields.stream, request_->fields.sse_ping_seconds),
      choices_(static_cast<std::size_t>(request_->fields.n_choices)) {}

void ChatAnswer::start() {
  const std::string client = client_of(exchange_->request());
  std::optional<scheduler::RequestId> first;
  try {
    for (int i = 0; i < static_cast<int>(choices_.size()); ++i) {
      const auto run = start_chat(context_, request_, i, client,
                                  std::make_shared<Listener>(shared_from_this(), i), first);
      if (!first) first = run->id();
      replies_.add([run] { run->cancel(); });
      const std::scoped_lock lock(runs_mutex_);
      runs_.push_back(run);
    }
  } catch (const std::exception& error) {
    bool untouched = false;
    {
      const std::scoped_lock lock(mutex_);
      untouched = channel_.abandon();
      if (!untouched) channel_.fail(error);
    }
    cancel();  // those that did start
    if (untouched) throw;
  }
  exchange_->on_close([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->cancel();
  });
}

void ChatAnswer::cancel() { replies_.cancel(); }

bool ChatAnswer::end_reasoning() {
  std::vector<std::shared_ptr<ChatRun>> runs;
  {
    const std::scoped_lock lock(runs_mutex_);
    runs = runs_;
  }
  bool any = false;
  for (const auto& run : runs) any = run->end_reasoning() || any;
  return any;
}

void ChatAnswer::on_start() {
  const std::scoped_lock lock(mutex_);
  channel_.begin();
}

void ChatAnswer::on_progress(int index, const scheduler::Timings& timings, int processed,
                             int total) {
  const std::scoped_lock lock(mutex_);
  if (!channel_.stream()) return;
  choices_[static_cast<std::size_t>(index)].role_sent = true;
  Json record = chat_chunk(head_, index, role_delta());
  if (request_->fields.timings_per_token) record["timings"] = timings_json(timings);
  record["prompt_progress"] = progress_json(processed, total, timings.cache_n, timings.prompt_ms);
  channel_.send(record);
}

void ChatAnswer::on_token(int index, const std::vector<ChatDelta>& deltas,
                          const TokenLogprob* logprob, const scheduler::Timings& timings) {
  const std::scoped_lock lock(mutex_);
  if (channel_.over()) return;
  Choice& choice = choices_[static_cast<std::size_t>(index)];
  if (logprob != nullptr) {
    choice.logprobs.push_back(*logprob);
    ++choice.n_silent;
  }
  if (!deltas.empty()) choice.n_silent = 0;
  if (!channel_.stream()) return;
  send_role(index);
  append_merged(choice.deltas, deltas);
  if (!may_wait(choice, timings)) send_deltas(index, timings);
}

/// Whether what is ready may wait for more: the reader is slow, or the client said so and the round
/// goes on. A round of verification is its accepted drafts and then one token of the model's own.
bool ChatAnswer::may_wait(Choice& choice, const scheduler::Timings& timings) {
  const bool from_draft = timings.draft_n_accepted > choice.n_accepted;
  choice.n_accepted = timings.draft_n_accepted;
  return (request_->fields.stream_coalesce && from_draft) || channel_.slow();
}

void ChatAnswer::send_role(int index) {
  if (std::exchange(choices_[static_cast<std::size_t>(index)].role_sent, true)) return;
  channel_.send(chat_chunk(head_, index, role_delta()));
}

void ChatAnswer::send_deltas(int index, const scheduler::Timings& timings) {
  Choice& choice = choices_[static_cast<std::size_t>(index)];
  std::vector<Json> records;
  for (const ChatDelta& delta : std::exchange(choice.deltas, {})) {
    Json json = delta_json(delta);
    if (!json.is_null()) records.push_back(chat_chunk(head_, index, std::move(json)));
  }
  if (records.empty()) return;
  if (!choice.logprobs.empty()) {
    records.back()["choices"][0]["logprobs"] =
        Json{{"content", logprobs_json(std::exchange(choice.logprobs, {}),
                                       request_->fields.post_sampling_probs)}};
  }
  for (Json& record : records) {
    if (request_->fields.timings_per_token) record["timings"] = timings_json(timings);
    channel_.send(record);
  }
}

void ChatAnswer::on_finish(int index, const std::vector<ChatDelta>& deltas,
                           const ChatFinish& finish) {
  bool failed = false;
  {
    const std::scoped_lock lock(mutex_);
    ++n_finished_;
    if (channel_.over()) return;
    const bool cancelled = finish.reason == ChatFinish::Reason::Cancelled;
    if (cancelled || finish.reason == ChatFinish::Reason::Error) {
      channel_.fail(cancelled ? ApiError(503, "unavailable_error", "the reply was cancelled")
                              : broken_reply(finish.error, finish.bad_request));
      failed = true;
    } else {
      choices_[static_cast<std::size_t>(index)].finish = std::make_unique<ChatFinish>(finish);
      finish_choice(index, deltas);
      if (n_finished_ == static_cast<int>(choices_.size())) {
        channel_.stream() ? finish_stream() : finish_json();
      }
    }
  }
  if (failed) cancel();  // the other replies
}

/// Text that was held back, then the finish reason.
void ChatAnswer::finish_choice(int index, const std::vector<ChatDelta>& deltas) {
  Choice& choice = choices_[static_cast<std::size_t>(index)];
  const ChatFinish& finish = *choice.finish;
  // Tokens whose text fell to a stop string are not part of the answer, nor are their numbers.
  if (!finish.stopping_word.empty() && deltas.empty()) {
    choice.logprobs.resize(choice.logprobs.size() -
                           std::min(choice.n_silent, choice.logprobs.size()));
  }
  if (!channel_.stream()) return;
  append_merged(choice.deltas, deltas);
  send_role(index);
  send_deltas(index, finish.timings);
  Json record = chat_chunk(head_, index, Json::object(), finish_reason_name(finish.reason));
  const bool last = n_finished_ == static_cast<int>(choices_.size());
  if (request_->fields.timings_per_token || (last && !request_->fields.include_usage)) {
    record["timings"] = timings_json(finish.timings);
  }
  if (request_->fields.verbose) record["__verbose"] = verbose_json(index);
  channel_.send(record);
}

void ChatAnswer::finish_stream() {
  if (request_->fields.include_usage) {
    Json record = chat_usage_chunk(head_, total_usage());
    record["timings"] = timings_json(choices_.back().finish->timings);
    channel_.send(record);
  }
  channel_.finish(kSseDone);
}

void ChatAnswer::finish_json() {
  Json answer = Json::object();
  answer["choices"] = Json::array();
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const ChatFinish& finish = *choices_[i].finish;
    Json choice = {{"finish_reason", finish_reason_name(finish.reason)}, {"index", i}};
    choice["message"] = message_json(finish.reply, finish.call_ids);
    if (!choices_[i].logprobs.empty()) {
      choice["logprobs"] = Json{
          {"content", logprobs_json(choices_[i].logprobs, request_->fields.post_sampling_probs)}};
    }
    answer["choices"].push_back(std::move(choice));
  }
  answer["created"] = head_.created;
  answer["model"] = head_.model;
  answer["system_fingerprint"] = head_.fingerprint;
  answer["object"] = "chat.completion";
  answer["usage"] = usage_json(total_usage());
  answer["id"] = head_.id;
  if (request_->fields.verbose) answer["__verbose"] = verbose_json(0);
  answer["timings"] = timings_json(choices_.front().finish->timings);
  channel_.respond(answer);
}

ChatUsage ChatAnswer::total_usage() const {
  ChatUsage total = choices_.front().finish->usage;
  for (std::size_t i = 1; i < choices_.size(); ++i) {
    const ChatUsage& one = choices_[i].finish->usage;
    total.completion_tokens += one.completion_tokens;
    total.reasoning_tokens += one.reasoning_tokens;
    total.accepted_prediction_tokens += one.accepted_prediction_tokens;
    total.rejected_prediction_tokens += one.rejected_prediction_tokens;
  }
  return total;
}

Json ChatAnswer::verbose_json(int index) const {
  const ChatFinish& finish = *choices_[static_cast<std::size_t>(index)].finish;
  NativeAnswer native;
  native.index = index;
  native.content = finish.text;
  native.slot = finish.slot;
  native.n_prompt = finish.usage.prompt_tokens;
  native.n_past = finish.n_past;
  native.settings =
      generation_settings(*context_, request_->fields, SettingsDetail::Full, request_.get());
  native.prompt = request_->prompt_text;
  native.has_new_line = finish.text.find('\n') != std::string::npos;
  native.truncated = finish.truncated;
  native.stopping_word = finish.stopping_word;
  native.stop_type = finish.reason == ChatFinish::Reason::Length ? StopType::Limit
                     : finish.stopping_word.empty()              ? StopType::EndOfText
                                                                 : StopType::Word;
  native.timings = finish.timings;
  return native_json(native, head_.model);
}

}  // namespace foretoken::api
