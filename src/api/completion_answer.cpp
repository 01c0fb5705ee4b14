// See completion_answer.h.
#include "api/completion_answer.h"

#include <utility>

#include "api/errors.h"
#include "api/generation_settings.h"
#include "api/handler.h"
#include "api/json_output.h"
#include "api/logprobs_json.h"
#include "api/native_answer.h"
#include "api/stats_json.h"

namespace foretoken::api {

/// One reply's ear; keeps the answer alive while the reply runs.
class CompletionAnswer::Listener : public CompletionListener {
 public:
  Listener(std::shared_ptr<CompletionAnswer> answer, Item& item)
      : answer_(std::move(answer)), item_(item) {}
  void on_start(int slot) override { answer_->on_start(item_, slot); }
  void on_progress(int processed, int total, const scheduler::Timings& timings) override {
    answer_->on_progress(item_, processed, total, timings);
  }
  void on_part(CompletionPart part, const scheduler::Timings& timings) override {
    answer_->on_part(item_, std::move(part), timings);
  }
  void on_finish(CompletionPart rest, const CompletionFinish& finish) override {
    answer_->on_finish(item_, std::move(rest), finish);
  }

 private:
  std::shared_ptr<CompletionAnswer> answer_;
  Item& item_;  // of answer_->items_, which does not change its size any more
};

CompletionAnswer::CompletionAnswer(ContextPtr context, RequestFields fields, CompletionStyle style,
                                   http::ExchangePtr exchange)
    : context_(std::move(context)),
      fields_(std::make_shared<const RequestFields>(std::move(fields))),
      style_(style),
      exchange_(std::move(exchange)),
      head_(make_answer_head(*context_)),
      channel_(exchange_, fields_->stream, fields_->sse_ping_seconds) {}

void CompletionAnswer::start(const std::vector<std::vector<TokenId>>& prompts) {
  const auto n = static_cast<std::size_t>(fields_->n_choices);
  items_.resize(prompts.size() * n);
  for (std::size_t i = 0; i < items_.size(); ++i) {
    items_[i].state.index = static_cast<int>(i);
    items_[i].prompt = prompts[i / n];
    items_[i].state.n_prompt = static_cast<int>(items_[i].prompt.size());
  }
  try {
    start_all(prompts);
  } catch (const std::exception& error) {
    bool untouched = false;
    {
      const std::scoped_lock lock(mutex_);
      untouched = channel_.abandon();
      if (!untouched) channel_.fail(error);
    }
    replies_.cancel();  // those that did start
    if (untouched) throw;
  }
  exchange_->on_close([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->replies_.cancel();
  });
}

void CompletionAnswer::start_all(const std::vector<std::vector<TokenId>>& prompts) {
  const std::string client = client_of(exchange_->request());
  const int n = fields_->n_choices;
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    std::optional<scheduler::RequestId> first;
    for (int choice = 0; choice < n; ++choice) {
      Item& item = items_[p * static_cast<std::size_t>(n) + static_cast<std::size_t>(choice)];
      const auto run =
          CompletionRun::start(context_, fields_, prompts[p], choice, client,
                               std::make_shared<Listener>(shared_from_this(), item), first);
      if (!first) first = run->id();
      replies_.add([run] { run->cancel(); });
    }
  }
}

void CompletionAnswer::on_start(Item& item, int slot) {
  const std::scoped_lock lock(mutex_);
  item.state.slot = slot;
  channel_.begin();
}

void CompletionAnswer::on_progress(Item& item, int processed, int total,
                                   const scheduler::Timings& timings) {
  const std::scoped_lock lock(mutex_);
  if (!channel_.stream()) return;
  Json record = partial_json(item, {});
  if (fields_->timings_per_token) record["timings"] = timings_json(timings);
  record["prompt_progress"] = progress_json(processed, total, timings.cache_n, timings.prompt_ms);
  channel_.send(record);
}

void CompletionAnswer::on_part(Item& item, CompletionPart part, const scheduler::Timings& timings) {
  const std::scoped_lock lock(mutex_);
  item.state.n_predicted = timings.predicted_n;
  if (channel_.over()) return;
  if (!channel_.stream()) {
    item.whole.append(std::move(part));
    return;
  }
  item.unsent.append(std::move(part));
  // A round of verification is its accepted drafts and then one token of the model's own.
  const bool from_draft = timings.draft_n_accepted > item.n_accepted;
  item.n_accepted = timings.draft_n_accepted;
  if ((fields_->stream_coalesce && from_draft) || channel_.slow()) return;
  send_part(item, timings);
}

void CompletionAnswer::send_part(Item& item, const scheduler::Timings& timings) {
  const CompletionPart part = std::exchange(item.unsent, {});
  if (part.text.empty() && part.tokens.empty()) return;
  Json record = partial_json(item, part);
  if (fields_->timings_per_token) record["timings"] = timings_json(timings);
  channel_.send(record);
}

Json CompletionAnswer::partial_json(const Item& item, const CompletionPart& part) const {
  if (style_ == CompletionStyle::Native) {
    return native_chunk(item.state, part, fields_->post_sampling_probs);
  }
  return openai_chunk(head_, item.state.index, part, fields_->want_logprobs,
                      fields_->post_sampling_probs);
}

void CompletionAnswer::on_finish(Item& item, CompletionPart rest, const CompletionFinish& finish) {
  bool failed = false;
  {
    const std::scoped_lock lock(mutex_);
    ++n_finished_;
    if (channel_.over()) return;
    using Reason = scheduler::FinishReason;
    if (finish.reason == Reason::Cancelled || finish.reason == Reason::Error) {
      channel_.fail(finish.reason == Reason::Cancelled
                        ? ApiError(503, "unavailable_error", "the reply was cancelled")
                        : broken_reply(finish.error, finish.bad_request));
      failed = true;
    } else {
      item.finish = finish;
      item.finished = true;
      item.state.n_predicted = finish.timings.predicted_n;
      if (channel_.stream()) {
        item.unsent.append(std::move(rest));
        send_part(item, finish.timings);
        send_last(item);
      } else {
        item.whole.append(std::move(rest));
      }
      if (n_finished_ == static_cast<int>(items_.size())) {
        if (channel_.stream()) {
          channel_.finish(style_ == CompletionStyle::OpenAi ? kSseDone : std::string_view());
        } else {
          answer_whole();
        }
      }
    }
  }
  if (failed) replies_.cancel();
}

void CompletionAnswer::send_last(Item& item) {
  if (style_ == CompletionStyle::Native) {
    channel_.send(final_native(item, false));
    return;
  }
  Json record =
      openai_chunk(head_, item.state.index, {}, false, false, openai_reason(item.finish.stop_type));
  record["usage"] = usage_of_items(item.state.index, 1);
  record["timings"] = timings_json(item.finish.timings);
  if (fields_->verbose) record["__verbose"] = final_native(item, false);
  channel_.send(record);
}

void CompletionAnswer::answer_whole() {
  if (style_ == CompletionStyle::Native) {
    Json answers = Json::array();
    for (const Item& item : items_) answers.push_back(final_native(item, true));
    channel_.respond(answers.size() == 1 ? answers[0] : answers);
    return;
  }
  Json answer = openai_chunk(head_, 0, {}, false, false);
  answer["choices"] = Json::array();
  for (const Item& item : items_) {
    answer["choices"].push_back(openai_choice(item.state.index, item.whole, fields_->want_logprobs,
                                              fields_->post_sampling_probs,
                                              openai_reason(item.finish.stop_type)));
  }
  answer["usage"] = usage_of_items(0, static_cast<int>(items_.size()));
  if (fields_->verbose) answer["__verbose"] = final_native(items_.front(), true);
  answer["timings"] = timings_json(items_.front().finish.timings);
  channel_.respond(answer);
}

Json CompletionAnswer::final_native(const Item& item, bool with_text) const {
  NativeAnswer native;
  native.index = item.state.index;
  if (with_text) native.content = item.whole.text;
  if (with_text && fields_->return_tokens) native.tokens = item.whole.tokens;
  native.slot = item.state.slot;
  native.n_prompt = item.state.n_prompt;
  native.n_past = item.finish.n_past;
  native.settings = generation_settings(*context_, *fields_, SettingsDetail::Full);
  native.prompt = context_->tokenizer->decode(item.prompt);
  native.has_new_line = item.finish.has_new_line;
  native.truncated = item.finish.reason == scheduler::FinishReason::ContextFull;
  native.stop_type = item.finish.stop_type;
  native.stopping_word = item.finish.stopping_word;
  native.timings = item.finish.timings;
  Json json = native_json(native, head_.model);
  if (with_text && !item.whole.logprobs.empty()) {
    json["completion_probabilities"] =
        logprobs_json(item.whole.logprobs, fields_->post_sampling_probs);
  }
  const bool picks = style_ == CompletionStyle::Native && !fields_->response_fields.empty();
  return picks ? pick_fields(fields_->response_fields, json) : json;
}

/// Of `n` items from `first` on; a prompt counts once, however many choices it has.
Json CompletionAnswer::usage_of_items(int first, int n) const {
  ChatUsage total;
  for (int i = first; i < first + n; ++i) {
    const Item& item = items_[static_cast<std::size_t>(i)];
    const ChatUsage one = usage_of(item.state.n_prompt, item.finish.timings);
    if (n == 1 || i % fields_->n_choices == 0) {
      total.prompt_tokens += one.prompt_tokens;
      total.cached_tokens += one.cached_tokens;
    }
    total.completion_tokens += one.completion_tokens;
    total.accepted_prediction_tokens += one.accepted_prediction_tokens;
    total.rejected_prediction_tokens += one.rejected_prediction_tokens;
  }
  return usage_json(total);
}

}  // namespace foretoken::api
