// What tests of the scheduler share: a listener that writes down what it hears, prompts of the tiny
// model, and the text that an engine alone gives.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "engine/generate.h"
#include "scheduler/scheduler.h"
#include "tiny_model.h"

namespace foretoken::testing {

/// Everything one request's listener heard. `on_token` may be steered by `hook`.
class Recorder final : public scheduler::RequestListener {
 public:
  struct Token {
    TokenId id = 0;
    bool from_draft = false;
    float logprob = 0.0F;
    std::vector<scheduler::TokenProbability> top;
    scheduler::Timings timings;
  };

  void on_start(int slot, int n_prompt, int n_cached) override {
    const std::lock_guard lock(mutex_);
    slot_ = slot;
    n_prompt_ = n_prompt;
    n_cached_ = n_cached;
    changed_.notify_all();
  }
  void on_progress(int processed, int, int, double) override {
    const std::lock_guard lock(mutex_);
    progress_.push_back(processed);
  }
  bool on_token(const scheduler::TokenEvent& event) override {
    {
      const std::lock_guard lock(mutex_);
      tokens_.push_back({event.token,
                         event.from_draft,
                         event.logprob,
                         {event.top.begin(), event.top.end()},
                         *event.timings});
      changed_.notify_all();
    }
    return !hook || hook(event);
  }
  void on_finish(const scheduler::Finish& finish) override {
    const std::lock_guard lock(mutex_);
    finish_ = finish;
    ++n_finishes_;
    changed_.notify_all();
  }

  /// Waits for the end; throws when it takes minutes.
  scheduler::Finish wait() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return n_finishes_ > 0; })) {
      throw std::runtime_error("the request did not end in time");
    }
    return finish_;
  }
  void wait_for_tokens(std::size_t n) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience,
                           [&] { return tokens_.size() >= n || n_finishes_ > 0; })) {
      throw std::runtime_error("the tokens did not come in time");
    }
  }
  void wait_for_start() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return slot_ >= 0 || n_finishes_ > 0; })) {
      throw std::runtime_error("the request did not start in time");
    }
  }

  std::vector<Token> tokens() const {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  std::vector<TokenId> ids() const {
    const std::lock_guard lock(mutex_);
    std::vector<TokenId> out;
    for (const Token& token : tokens_) out.push_back(token.id);
    return out;
  }
  std::vector<int> progress() const {
    const std::lock_guard lock(mutex_);
    return progress_;
  }
  int slot() const {
    const std::lock_guard lock(mutex_);
    return slot_;
  }
  int n_cached() const {
    const std::lock_guard lock(mutex_);
    return n_cached_;
  }
  int n_finishes() const {
    const std::lock_guard lock(mutex_);
    return n_finishes_;
  }

  std::function<bool(const scheduler::TokenEvent&)> hook;  // set before submitting

 private:
  static constexpr std::chrono::seconds kPatience{240};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Token> tokens_;
  std::vector<int> progress_;
  scheduler::Finish finish_;
  int n_finishes_ = 0;
  int slot_ = -1;
  int n_prompt_ = 0;
  int n_cached_ = -1;
};

inline engine::Engine& shared_engine() {
  static engine::Engine engine({.model_path = tiny_model("tiny-base-BF16.gguf"),
                                .n_threads = 2,
                                .backend = {},
                                .progress = {}});
  return engine;
}

inline std::vector<std::vector<TokenId>> task_prompts(std::size_t n) {
  std::vector<std::vector<TokenId>> out;
  for (const auto& task : read_goldens("../acceptance/base.json")) {
    for (const auto& prompt : task.at("prompts")) {
      if (out.size() == n) return out;
      out.push_back(prompt.get<std::vector<TokenId>>());
      break;
    }
  }
  return out;
}

inline sampling::SamplingParams greedy_sampling() {
  sampling::SamplingParams params;
  params.temperature = 0.0F;
  return params;
}

inline engine::SpeculationOptions drafts(int n_max, bool adaptive = true) {
  engine::SpeculationOptions out;
  out.type = n_max == 0 ? engine::SpeculationOptions::Type::None
                        : engine::SpeculationOptions::Type::DraftMtp;
  out.limits.n_max = n_max;
  out.adaptive = adaptive;
  out.draft_vocabulary = 0;
  return out;
}

inline scheduler::SchedulerOptions small_options(int n_slots) {
  scheduler::SchedulerOptions out;
  out.n_slots = n_slots;
  out.n_context = 1024;
  out.n_batch = 64;
  out.cache_bytes = std::size_t{256} << 20;
  out.checkpoint_step = 64;
  out.speculation = drafts(3);
  return out;
}

/// A greedy request for n tokens.
inline scheduler::Request request_for(std::vector<TokenId> prompt, int n_tokens,
                                      std::shared_ptr<Recorder> recorder, int n_draft = 3) {
  scheduler::Request out;
  out.prompt = std::move(prompt);
  out.sampling = greedy_sampling();
  out.speculation = drafts(n_draft);
  out.max_tokens = n_tokens;
  out.listener = std::move(recorder);
  return out;
}

inline scheduler::RequestId submitted(scheduler::Service& service, scheduler::Request request) {
  return std::get<scheduler::RequestId>(service.submit(std::move(request)));
}

/// Submits a request and waits for its end.
inline std::shared_ptr<Recorder> answer(scheduler::Service& service,
                                        const std::vector<TokenId>& prompt, int n_tokens,
                                        int n_draft = 3) {
  auto recorder = std::make_shared<Recorder>();
  submitted(service, request_for(prompt, n_tokens, recorder, n_draft));
  recorder->wait();
  return recorder;
}

/// A slot action and its answer.
inline scheduler::SlotActionResult act(scheduler::Service& service, scheduler::SlotAction action) {
  std::promise<scheduler::SlotActionResult> promise;
  service.slot_action(std::move(action), [&](scheduler::SlotActionResult result) {
    promise.set_value(std::move(result));
  });
  return promise.get_future().get();
}

/// With three drafts a round, whether they pay or not.
inline std::shared_ptr<Recorder> answer_drafted(scheduler::Service& service,
                                                const std::vector<TokenId>& prompt, int n_tokens) {
  auto recorder = std::make_shared<Recorder>();
  scheduler::Request request = request_for(prompt, n_tokens, recorder);
  request.speculation.adaptive = false;
  submitted(service, std::move(request));
  recorder->wait();
  return recorder;
}

/// What an engine alone answers, without drafts, up to the end of the text. An engine of its own,
/// because a scheduler's must not be run by anybody else.
inline std::vector<TokenId> text_alone(const std::vector<TokenId>& prompt, int n_tokens) {
  static engine::Engine engine({.model_path = tiny_model("tiny-base-BF16.gguf"),
                                .n_threads = 1,
                                .backend = {},
                                .progress = {}});
  engine::SessionOptions options;
  options.n_context = 1024;
  engine::Session session(engine, options);
  session.prefill(prompt);
  engine::Generator generator(session, greedy_sampling(), drafts(0));
  generator.observe_prompt();
  return generator.generate({.max_tokens = n_tokens}).tokens;
}

}  // namespace foretoken::testing
