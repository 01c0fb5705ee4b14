// An inference worker without a model, for tests of the API: it "generates" scripted tokens on a
// thread of its own and remembers what it was asked.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "scheduler/service.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::api {

/// What the service answers to a request.
struct Script {
  std::vector<TokenId> tokens;
  std::vector<bool> from_draft;  ///< shorter or empty: not drafted
  std::string error;             ///< after the tokens, the request fails with it
  bool bad_request = false;      ///< the error is the request's own fault
  bool context_full = false;     ///< after the tokens, the slot is full
};

class FakeService : public scheduler::Service {
 public:
  explicit FakeService(const tokenizer::Tokenizer& tokenizer)
      : tokenizer_(tokenizer), worker_([this] { work(); }) {}
  ~FakeService() override { stop(); }

  /// Cancels what runs and ends the thread. Whoever made the service calls this: the last reference
  /// may be one that the thread itself lets go of.
  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (worker_.joinable()) worker_.join();
  }

  /// Text to tokens, control tokens recognised; "<|im_end|>" at the end ends the reply.
  Script script(const std::string& text) const {
    Script script;
    script.tokens = tokenizer_.encode(text);
    return script;
  }
  /// What the next request generates; the last one stays for all that follow.
  void will_say(const std::string& text) { will_say(script(text)); }
  void will_say(Script next) {
    const std::scoped_lock lock(mutex_);
    scripts_.push_back(std::move(next));
  }
  /// The worker waits in front of every token while held.
  void hold(bool held) {
    {
      const std::scoped_lock lock(mutex_);
      held_ = held;
    }
    changed_.notify_all();
  }

  /// What was submitted, without listeners and constraints.
  struct Seen {
    std::vector<TokenId> prompt;
    int id_slot = -1;
    bool cache_prompt = true;
    sampling::SamplingParams sampling;
    engine::SpeculationOptions speculation;
    int max_tokens = -1;
    double max_predict_ms = 0.0;
    int n_probs = 0;
    bool post_sampling_probs = false;
    bool constrained = false;
    std::string client;
    std::optional<scheduler::RequestId> after;
    std::string description;
  };
  std::vector<Seen> seen() const {
    const std::scoped_lock lock(mutex_);
    return seen_;
  }
  std::vector<scheduler::RequestId> cancelled() const {
    const std::scoped_lock lock(mutex_);
    return cancelled_;
  }

  std::variant<scheduler::RequestId, scheduler::Refusal> submit(
      scheduler::Request request) override {
    const std::scoped_lock lock(mutex_);
    if (seen_.size() >= queue_bound) return scheduler::Refusal::QueueFull;
    seen_.push_back({request.prompt, request.id_slot, request.cache_prompt, request.sampling,
                     request.speculation, request.max_tokens, request.max_predict_ms,
                     request.n_probs, request.post_sampling_probs, request.constraint != nullptr,
                     request.client, request.after, request.description});
    const scheduler::RequestId id = seen_.size();
    Job job;
    job.id = id;
    job.request = std::move(request);
    if (!scripts_.empty()) {
      job.script = scripts_.front();
      if (scripts_.size() > 1) scripts_.pop_front();
    }
    jobs_.push_back(std::move(job));
    changed_.notify_all();
    return id;
  }
  void cancel(scheduler::RequestId id) override {
    const std::scoped_lock lock(mutex_);
    cancelled_.push_back(id);
    changed_.notify_all();
  }
  void slot_action(scheduler::SlotAction action,
                   std::function<void(scheduler::SlotActionResult)> done) override {
    {
      const std::scoped_lock lock(mutex_);
      actions.push_back(action);
    }
    done(action_result);
  }
  static std::vector<scheduler::SlotInfo> idle_slots() {
    std::vector<scheduler::SlotInfo> slots(2);
    slots[1].id = 1;
    for (scheduler::SlotInfo& slot : slots) slot.n_ctx = 4096;
    return slots;
  }
  int n_slots() const override { return 2; }
  int slot_context() const override { return n_ctx; }
  std::vector<scheduler::SlotInfo> slots() const override { return slot_infos; }
  scheduler::Metrics metrics() const override { return fake_metrics; }
  scheduler::SpeculationState speculation() const override { return state; }

  // Set before use.
  std::size_t queue_bound = 1000;
  int n_ctx = 4096;
  std::vector<scheduler::SlotInfo> slot_infos = idle_slots();
  scheduler::Metrics fake_metrics;
  scheduler::SpeculationState state;
  scheduler::SlotActionResult action_result;
  std::vector<scheduler::SlotAction> actions;

 private:
  struct Job {
    scheduler::RequestId id = 0;
    scheduler::Request request;
    Script script;
  };

  void work() {
    while (true) {
      Job job;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      run(job);
    }
  }

  bool is_cancelled(scheduler::RequestId id) {
    std::unique_lock lock(mutex_);
    const auto cancelled = [&] {
      return stopping_ || std::ranges::find(cancelled_, id) != cancelled_.end();
    };
    changed_.wait(lock, [&] { return !held_ || cancelled(); });
    return cancelled();
  }

  /// The share of the prompt that the sequence before had, too; the last token is always read.
  int cached_tokens(const scheduler::Request& request) {
    if (!request.cache_prompt) return 0;
    const auto [mine, theirs] = std::ranges::mismatch(request.prompt, sequence_);
    const auto common = static_cast<std::size_t>(mine - request.prompt.begin());
    return static_cast<int>(std::min(common, request.prompt.size() - 1));
  }

  void run(Job& job) {
    scheduler::Request& request = job.request;
    scheduler::RequestListener& listener = *request.listener;
    const int n_prompt = static_cast<int>(request.prompt.size());
    scheduler::Finish finish;
    finish.slot = request.id_slot >= 0 ? request.id_slot : 0;
    finish.timings.cache_n = cached_tokens(request);
    const int cached = finish.timings.cache_n;
    listener.on_start(finish.slot, n_prompt, cached);
    if (request.want_progress) {
      for (int done = cached; done < n_prompt; done += 16) {
        listener.on_progress(done, n_prompt, cached, done - cached);
      }
      listener.on_progress(n_prompt, n_prompt, cached, n_prompt - cached);
    }
    finish.timings.prompt_n = n_prompt - cached;
    finish.timings.prompt_ms = 0.5 * finish.timings.prompt_n;
    sequence_ = request.prompt;
    finish.reason = generate(job, finish);
    finish.n_past = static_cast<int>(sequence_.size());
    listener.on_finish(finish);
  }

  scheduler::FinishReason generate(Job& job, scheduler::Finish& finish) {
    using Reason = scheduler::FinishReason;
    scheduler::Timings& timings = finish.timings;
    for (std::size_t i = 0; i < job.script.tokens.size(); ++i) {
      if (timings.predicted_n == job.request.max_tokens) return Reason::Length;
      if (is_cancelled(job.id)) return Reason::Cancelled;
      const TokenId token = job.script.tokens[i];
      scheduler::TokenEvent event;
      event.token = token;
      event.end_of_text = tokenizer_.is_end_of_generation(token);
      event.from_draft = i < job.script.from_draft.size() && job.script.from_draft[i];
      if (event.from_draft) {
        ++timings.draft_n_accepted;
        timings.draft_n = timings.draft_n_accepted + 1;
        timings.draft_rounds = 1;
        timings.drafted_at[0] = timings.draft_n;
        timings.accepted_at[0] = timings.draft_n_accepted;
      }
      ++timings.predicted_n;
      timings.predicted_ms += 2.0;
      const std::vector<scheduler::TokenProbability> top = alternatives(job.request, token);
      event.logprob = -0.25F;
      event.top = top;
      event.timings = &timings;
      sequence_.push_back(token);
      const bool go_on = job.request.listener->on_token(event);
      if (event.end_of_text) return Reason::EndOfText;
      if (!go_on) return Reason::StopWord;
    }
    if (timings.predicted_n == job.request.max_tokens) return Reason::Length;
    if (!job.script.error.empty()) {
      finish.error = job.script.error;
      finish.bad_request = job.script.bad_request;
      return Reason::Error;
    }
    return job.script.context_full ? Reason::ContextFull : Reason::EndOfText;
  }

  /// The token itself and its neighbours; the last one is impossible.
  static std::vector<scheduler::TokenProbability> alternatives(const scheduler::Request& request,
                                                               TokenId token) {
    std::vector<scheduler::TokenProbability> top;
    for (int k = 0; k < request.n_probs; ++k) {
      const bool last = k > 0 && k + 1 == request.n_probs;
      top.push_back({(token + k) % 256, last ? -std::numeric_limits<float>::infinity()
                                             : -0.25F - static_cast<float>(k)});
    }
    return top;
  }

  const tokenizer::Tokenizer& tokenizer_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::deque<Script> scripts_;
  std::vector<Seen> seen_;
  std::vector<scheduler::RequestId> cancelled_;
  std::vector<TokenId> sequence_;  // of the worker only
  bool held_ = false;
  bool stopping_ = false;
  std::thread worker_;  // last: it uses all the others
};

}  // namespace foretoken::api
