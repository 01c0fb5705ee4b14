#include "scheduler/sequence.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace foretoken::scheduler {
namespace {

using engine::SpeculationOptions;

double ms_between(Sequence::Clock::time_point from, Sequence::Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// What a request wants, within what the server allows.
SpeculationOptions allowed(const SpeculationOptions& wanted, const SpeculationOptions& server,
                           bool has_drafter) {
  SpeculationOptions out = wanted;
  out.limits.n_max = std::min(wanted.limits.n_max, server.limits.n_max);
  out.draft_vocabulary = server.draft_vocabulary;
  if (!has_drafter) out.type = SpeculationOptions::Type::None;
  return out;
}

}  // namespace

Sequence::Sequence(Job job, int slot, LoadedModel& model, const SchedulerOptions& options)
    : job_(std::move(job)),
      slot_(slot),
      model_(model),
      session_(model.session(slot)),
      debug_(options.slots_debug),
      generator_(session_, job_.request.sampling,
                 allowed(job_.request.speculation, options.speculation, model.drafter() != nullptr),
                 {.costs = model.costs(),
                  .drafter = model.drafter(),
                  .experience = model.experience(),
                  .constraint = job_.request.constraint.get(),
                  .probabilities = {job_.request.n_probs, job_.request.post_sampling_probs}}),
      began_(Clock::now()) {
  finish_.slot = slot;
}

// ---- The prompt. ----

void Sequence::begin(const cache::CheckpointPtr& from, std::vector<int> plan) {
  if (from != nullptr) {
    session_.restore(from);
  } else {
    session_.rewind(0);
  }
  plan_ = std::move(plan);
  timings_.cache_n = session_.n_past();
  const int n_prompt = static_cast<int>(request().prompt.size());
  request().listener->on_start(slot_, n_prompt, n_cached());
  if (request().want_progress) {
    request().listener->on_progress(n_cached(), n_prompt, n_cached(),
                                    ms_between(began_, Clock::now()));
  }
}

int Sequence::n_prompt_left() const {
  return static_cast<int>(request().prompt.size()) - session_.n_past();
}

engine::BatchPart Sequence::prompt_part(int n) {
  const int n_past = session_.n_past();
  const auto first = std::upper_bound(plan_.begin(), plan_.end(), n_past);
  const auto last = std::upper_bound(first, plan_.end(), n_past + n);
  return {.session = &session_,
          .kind = engine::BatchPart::Kind::Prompt,
          .tokens = std::span(request().prompt)
                        .subspan(static_cast<std::size_t>(n_past), static_cast<std::size_t>(n)),
          .checkpoints_at = {first, last}};
}

void Sequence::prompt_done(int n) {
  const double ms = ms_between(began_, Clock::now());
  timings_.prompt_n += n;
  timings_.prompt_ms = ms;
  if (!request().want_progress) return;
  request().listener->on_progress(session_.n_past(), static_cast<int>(request().prompt.size()),
                                  n_cached(), ms);
}

void Sequence::first_token() {
  if (request().max_tokens == 0) return stop(FinishReason::Length);
  phase_ = Phase::Decode;
  generator_.observe_prompt();
  judged_ = generator_.judge({}, session_.last_logits());
  first_token_ = Clock::now();
  timings_.prompt_ms = ms_between(began_, first_token_);
  emit(judged_, 0, false);
}

// ---- Rounds. ----

std::vector<double> Sequence::draft_reach() const {
  std::vector<double> reach;
  if (!generator_.drafts()) return reach;
  for (int i = 0; i < engine::kMaxDraftChain; ++i) {
    const double p = generator_.policy().expected_reach(i);
    if (p <= 0.0) break;
    reach.push_back(p);
  }
  return reach;
}

engine::DraftTask* Sequence::begin_draft(const engine::PassShare& share) {
  int n_most = session_.room() - 2;  // the last one is sampled beyond them
  if (request().max_tokens >= 0) {
    n_most = std::min(n_most, request().max_tokens - timings_.predicted_n - 1);
  }
  return generator_.begin_draft(last_, n_most, share);
}

int Sequence::end_draft() {
  draft_ = generator_.end_draft();
  run_.assign(1, last_);
  run_.insert(run_.end(), draft_.tokens.begin(), draft_.tokens.end());
  return static_cast<int>(run_.size());
}

engine::BatchPart Sequence::verify_part() const {
  return {.session = &session_,
          .kind = engine::BatchPart::Kind::Verify,
          .tokens = run_,
          .checkpoints_at = {}};
}

void Sequence::judge(std::span<const float> logits) {
  is_undecided_ = true;
  n_delivered_ = 0;
  judged_ = generator_.judge(draft_, logits);
}

// Of the drafter's own drafts, as /metrics and `timings` count them; the kept ones are counted as
// they are emitted.
void Sequence::count_draft() {
  timings_.draft_ms += draft_.seconds * 1e3;
  if (draft_.n_own() == 0) return;
  timings_.draft_n += draft_.n_own();
  ++timings_.draft_rounds;
  for (int i = 0; i < draft_.n_own(); ++i) ++timings_.drafted_at[static_cast<std::size_t>(i)];
}

int Sequence::deliver(double verify_seconds) {
  count_draft();
  timings_.verify_ms += verify_seconds * 1e3;
  timings_.draft_parked = generator_.parked_reason();
  for (std::size_t i = 0; i < judged_.tokens.size() && phase_ == Phase::Decode; ++i) {
    const auto position = static_cast<int>(i) - draft_.n_given;
    const bool from_draft = static_cast<int>(i) < judged_.n_accepted && position >= 0;
    if (from_draft) {
      ++timings_.draft_n_accepted;
      ++timings_.accepted_at[static_cast<std::size_t>(position)];
    }
    ++n_delivered_;
    emit(judged_, i, from_draft);
  }
  // The last emitted token is not in the session yet; everything before it is.
  session_.commit(n_delivered_);
  is_undecided_ = false;
  return n_delivered_;
}

void Sequence::settle(const engine::PassShare& share, double measured_seconds) {
  generator_.settle(draft_, judged_, share, measured_seconds);
}

// ---- Tokens. ----

void Sequence::emit(const engine::Judged& judged, std::size_t i, bool from_draft) {
  const TokenId token = judged.tokens[i];
  last_ = token;
  generator_.emit(token);
  ++timings_.predicted_n;
  timings_.predicted_ms = ms_between(first_token_, Clock::now());
  if (debug_) generated_.push_back(token);
  TokenEvent event;
  event.token = token;
  event.end_of_text = model_.engine().tokenizer().is_end_of_generation(token);
  event.from_draft = from_draft;
  event.timings = &timings_;
  top_.clear();
  if (!judged.logprobs.empty()) {
    event.logprob = judged.logprobs[i].chosen;
    for (const sampling::TokenLogprob& p : judged.logprobs[i].top) {
      top_.push_back({p.token, p.logprob});
    }
    event.top = top_;
  }
  const bool wanted = request().listener->on_token(event);
  if (event.end_of_text) return stop(FinishReason::EndOfText);
  if (!wanted) return stop(FinishReason::StopWord);
  if (request().max_tokens >= 0 && timings_.predicted_n >= request().max_tokens) {
    return stop(FinishReason::Length);
  }
  const bool ends_line =
      model_.engine().tokenizer().piece(token).find('\n') != std::string_view::npos;
  has_new_line_ = has_new_line_ || ends_line;
  if (ends_line && request().max_predict_ms > 0.0 &&
      timings_.predicted_ms > request().max_predict_ms) {
    stop(FinishReason::Length);
  }
}

// ---- The end. ----

void Sequence::stop(FinishReason reason, std::string error) {
  if (phase_ == Phase::Ended) return;
  phase_ = Phase::Ended;
  finish_.reason = reason;
  finish_.error = std::move(error);
  // Something threw while tokens were handed out: those that went out stay, the others do not.
  if (is_undecided_ && reason == FinishReason::Error) {
    session_.commit(std::max(n_delivered_ - 1, 0));
    is_undecided_ = false;
  }
}

void Sequence::refuse(std::string error) {
  if (phase_ == Phase::Ended) return;
  stop(FinishReason::Error, std::move(error));
  finish_.bad_request = true;
}

void Sequence::drop_session() {
  is_undecided_ = false;
  session_.rewind(0);
}

std::string Sequence::finish() {
  finish_.timings = timings_;
  finish_.n_past = session_.n_past();
  try {
    request().listener->on_finish(finish_);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

double Sequence::seconds_since_submit() const {
  return std::chrono::duration<double>(Clock::now() - job_.submitted).count();
}

void Sequence::describe(SlotInfo& info) const {
  info.is_processing = phase_ != Phase::Ended;
  info.request = id();
  info.speculative = generator_.drafts();
  info.n_prompt_tokens = static_cast<int>(request().prompt.size());
  info.n_prompt_processed = timings_.prompt_n;
  info.n_prompt_cached = n_cached();
  info.n_decoded = timings_.predicted_n;
  info.n_remain = request().max_tokens < 0 ? -1 : request().max_tokens - timings_.predicted_n;
  info.has_next_token = phase_ != Phase::Ended;
  info.has_new_line = has_new_line_;
  if (debug_) info.generated = generated_;
}

}  // namespace foretoken::scheduler
