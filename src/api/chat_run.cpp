// A chat reply in progress: tokens from the worker to deltas for a dialect.
#include "api/chat_run.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "api/chat_request.h"
#include "api/errors.h"
#include "api/generation_settings.h"
#include "api/json_output.h"
#include "api/logprobs_json.h"
#include "api/reply_constraint.h"
#include "api/reply_deltas.h"
#include "api/stats_json.h"
#include "api/submit.h"
#include "api/text_stream.h"
#include "base/text.h"

namespace foretoken::api {
namespace {

class Run final : public ChatRun, public scheduler::RequestListener {
 public:
  Run(ContextPtr context, std::shared_ptr<const ChatRequest> request,
      std::shared_ptr<ChatListener> listener)
      : context_(std::move(context)),
        request_(std::move(request)),
        listener_(std::move(listener)),
        handle_(context_->service),
        text_(*context_->tokenizer, {.stop = request_->fields.stop,
                                     .show_control = context_->defaults.special,
                                     .n_indent = 0}),
        deltas_(*request_),
        close_think_(context_->tokenizer->find_special("</think>")),
        thinking_(request_->starts_in_reasoning) {}

  // ChatRun, called from any thread.
  void cancel() override { handle_.cancel(); }
  bool end_reasoning() override {
    if (!request_->reasoning_control || !thinking_.load()) return false;
    end_reasoning_->store(true);
    return true;
  }
  scheduler::RequestId id() const override { return handle_.id(); }

  void submit(const std::shared_ptr<Run>& self, int choice, const std::string& client,
              std::optional<scheduler::RequestId> after);

  // RequestListener, on the worker's thread.
  void on_start(int /*slot*/, int n_prompt, int n_cached) override {
    listener_->on_start(n_prompt, n_cached);
  }
  void on_progress(int processed, int total, int cached, double ms) override {
    listener_->on_progress(processed, total, cached, ms);
  }
  bool on_token(const scheduler::TokenEvent& event) override;
  void on_finish(const scheduler::Finish& finish) override;

 private:
  void count_reasoning(TokenId token, bool was_inside);
  ChatFinish::Reason reason_of(const scheduler::Finish& finish) const;
  void report_broken_calls(bool truncated) const;

  const ContextPtr context_;
  const std::shared_ptr<const ChatRequest> request_;
  std::shared_ptr<ChatListener> listener_;
  RequestHandle handle_;
  std::shared_ptr<std::atomic<bool>> end_reasoning_ = std::make_shared<std::atomic<bool>>(false);

  TextStream text_;
  ReplyDeltas deltas_;
  const std::optional<TokenId> close_think_;
  std::atomic<bool> thinking_;
  int n_reasoning_ = 0;
  std::string raw_;  // the reply's text as the parser got it
};

void Run::submit(const std::shared_ptr<Run>& self, int choice, const std::string& client,
                 std::optional<scheduler::RequestId> after) {
  scheduler::Request request = make_request(*context_, request_->fields, request_->prompt, choice);
  request.constraint =
      make_constraint(*context_, *request_, request_->reasoning_control ? end_reasoning_ : nullptr);
  request.client = client;
  request.after = after;
  request.description =
      dump(generation_settings(*context_, request_->fields, SettingsDetail::Short, request_.get()));
  request.listener = self;
  handle_.submit(std::move(request));
}

bool Run::on_token(const scheduler::TokenEvent& event) {
  if (handle_.cancelled()) return false;
  std::vector<ChatDelta> deltas;
  if (!event.end_of_text) {
    const bool was_inside = deltas_.in_reasoning();
    const std::string text = text_.push(event.token);
    raw_ += text;
    deltas = deltas_.feed(text);
    count_reasoning(event.token, was_inside);
  }
  std::optional<TokenLogprob> logprob;
  if (request_->fields.want_logprobs && !event.end_of_text) {
    logprob = make_logprob(*context_->tokenizer, event, request_->fields.n_probs);
  }
  listener_->on_token(deltas, logprob ? &*logprob : nullptr, *event.timings);
  return !text_.ended() && !handle_.cancelled();
}

/// Tokens count as thinking up to the tag that closes it; the parser itself sees the end of
/// thinking only when something follows.
void Run::count_reasoning(TokenId token, bool was_inside) {
  bool thinking = thinking_.load();
  if (deltas_.in_reasoning() && !was_inside) thinking = true;
  if (thinking) ++n_reasoning_;
  if (!deltas_.in_reasoning() || token == close_think_) thinking = false;
  thinking_.store(thinking);
}

void Run::on_finish(const scheduler::Finish& finish) {
  const bool failed = finish.reason == scheduler::FinishReason::Error ||
                      finish.reason == scheduler::FinishReason::Cancelled;
  const std::string rest = text_.finish();
  raw_ += rest;
  std::vector<ChatDelta> deltas = deltas_.feed(rest);
  for (ChatDelta& delta : deltas_.finish()) deltas.push_back(std::move(delta));

  ChatFinish out;
  out.stopping_word = text_.stopping_word();
  out.reason = reason_of(finish);
  out.truncated = finish.reason == scheduler::FinishReason::ContextFull;
  out.error = finish.error;
  out.bad_request = finish.bad_request;
  out.usage = usage_of(static_cast<int>(request_->prompt.size()), finish.timings);
  out.usage.reasoning_tokens = n_reasoning_;
  out.timings = finish.timings;
  out.reply = deltas_.reply();
  out.call_ids = deltas_.call_ids();
  out.text = raw_;
  out.slot = finish.slot;
  out.n_past = finish.n_past;
  report_broken_calls(failed || out.reason == ChatFinish::Reason::Length);

  // The listener may hold this object: let go of it, or neither ever ends.
  const std::shared_ptr<ChatListener> listener = std::move(listener_);
  listener->on_finish(deltas, out);
}

ChatFinish::Reason Run::reason_of(const scheduler::Finish& finish) const {
  using From = scheduler::FinishReason;
  switch (finish.reason) {
    case From::EndOfText:
    case From::StopWord:
      if (handle_.cancelled() && !text_.ended()) return ChatFinish::Reason::Cancelled;
      return deltas_.reply().calls.empty() ? ChatFinish::Reason::Stop
                                           : ChatFinish::Reason::ToolCalls;
    case From::Length:
    case From::ContextFull:
      return ChatFinish::Reason::Length;
    case From::Cancelled:
      return ChatFinish::Reason::Cancelled;
    case From::Error:
      return ChatFinish::Reason::Error;
  }
  return ChatFinish::Reason::Error;
}

/// A call may well be cut off; one that breaks off in mid-reply is the model's mistake.
void Run::report_broken_calls(bool truncated) const {
  const int n = deltas_.n_abandoned() - (truncated ? 1 : 0);
  if (n <= 0) return;
  context_->counters.tool_parse_soft_fails += static_cast<std::uint64_t>(n);
  context_->remark(LogLevel::Warning,
                   "a tool call broke off, its text became content: " + quoted(raw_, 2000));
}

}  // namespace

std::shared_ptr<ChatRun> start_chat(const ContextPtr& context,
                                    const std::shared_ptr<const ChatRequest>& request, int choice,
                                    const std::string& client,
                                    std::shared_ptr<ChatListener> listener,
                                    std::optional<scheduler::RequestId> after) {
  auto run = std::make_shared<Run>(context, request, std::move(listener));
  run->submit(run, choice, client, after);
  return run;
}

}  // namespace foretoken::api
