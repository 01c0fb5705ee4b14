// See completion_run.h.
#include "api/completion_run.h"

#include <utility>

#include "api/generation_settings.h"
#include "api/json_output.h"
#include "api/logprobs_json.h"
#include "api/reply_constraint.h"

namespace foretoken::api {

void CompletionPart::append(CompletionPart other) {
  text += other.text;
  tokens.insert(tokens.end(), other.tokens.begin(), other.tokens.end());
  for (TokenLogprob& item : other.logprobs) logprobs.push_back(std::move(item));
}

CompletionRun::CompletionRun(ContextPtr context, std::shared_ptr<const RequestFields> fields,
                             std::shared_ptr<CompletionListener> listener)
    : context_(std::move(context)),
      fields_(std::move(fields)),
      listener_(std::move(listener)),
      handle_(context_->service),
      text_(*context_->tokenizer, {.stop = fields_->stop,
                                   .show_control = context_->defaults.special,
                                   .n_indent = fields_->n_indent}) {}

std::shared_ptr<CompletionRun> CompletionRun::start(
    const ContextPtr& context, const std::shared_ptr<const RequestFields>& fields,
    const std::vector<TokenId>& prompt, int choice, const std::string& client,
    std::shared_ptr<CompletionListener> listener, std::optional<scheduler::RequestId> after) {
  auto run = std::make_shared<CompletionRun>(context, fields, std::move(listener));
  scheduler::Request request = make_request(*context, *fields, prompt, choice);
  request.constraint = make_constraint(*context, *fields);
  request.client = client;
  request.after = after;
  request.description = dump(generation_settings(*context, *fields, SettingsDetail::Short));
  request.listener = run;
  run->handle_.submit(std::move(request));
  return run;
}

void CompletionRun::on_start(int slot, int /*n_prompt*/, int /*n_cached*/) {
  listener_->on_start(slot);
}

void CompletionRun::on_progress(int processed, int total, int cached, double ms) {
  scheduler::Timings timings;
  timings.cache_n = cached;
  timings.prompt_n = processed - cached;
  timings.prompt_ms = ms;
  listener_->on_progress(processed, total, timings);
}

bool CompletionRun::on_token(const scheduler::TokenEvent& event) {
  if (handle_.cancelled()) return false;
  if (event.end_of_text) return true;
  held_.tokens.push_back(event.token);
  if (fields_->want_logprobs) {
    held_.logprobs.push_back(make_logprob(*context_->tokenizer, event, fields_->n_probs));
  }
  held_.text = text_.push(event.token);
  if (!held_.text.empty()) listener_->on_part(std::exchange(held_, {}), *event.timings);
  return !text_.ended() && !handle_.cancelled();
}

void CompletionRun::on_finish(const scheduler::Finish& finish) {
  CompletionPart rest;
  if (!text_.ended()) {
    rest = std::exchange(held_, {});
    rest.text = text_.finish();
  }
  CompletionFinish out;
  out.reason = finish.reason;
  out.stop_type = stop_type_of(finish.reason, text_.stopping_word());
  // Held-back text can complete a stop string at the very end.
  if (text_.ended() && !text_.stopping_word().empty()) out.stop_type = StopType::Word;
  out.stopping_word = text_.stopping_word();
  out.error = finish.error;
  out.bad_request = finish.bad_request;
  out.has_new_line = text_.has_new_line();
  out.n_past = finish.n_past;
  out.timings = finish.timings;
  // The listener keeps what it belongs to alive: let go of it with the last call.
  const std::shared_ptr<CompletionListener> listener = std::move(listener_);
  listener->on_finish(std::move(rest), out);
}

}  // namespace foretoken::api
