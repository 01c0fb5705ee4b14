// What the scheduler adds to the engine: the same replies of the tiny model by a Generator alone
// and through a Scheduler with one slot, drafts off. Per token, and per request (a cached prompt
// and one token). Bound: 0.25 ms per token, 3 ms per request; expected far below, since a pass adds
// a few look-ups, two locks and a copy of the counters.
#include <benchmark/benchmark.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/generate.h"
#include "scheduler/scheduler.h"

namespace foretoken {
namespace {

constexpr int kTokens = 256;

engine::Engine& engine() {
  static engine::Engine made({.model_path = FORETOKEN_SOURCE_DIR "/models/tiny/tiny-base-BF16.gguf",
                              .n_threads = 1,
                              .backend = {},
                              .progress = {}});
  return made;
}

std::vector<TokenId> prompt() {
  std::vector<TokenId> out(200);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<TokenId>(300 + i);
  return out;
}

// Never the end of the text, so that lengths are equal.
sampling::SamplingParams endless() {
  sampling::SamplingParams out;
  out.temperature = 0.0F;
  const auto& tokenizer = engine().tokenizer();
  for (TokenId id = 0; id < tokenizer.n_real_vocab(); ++id) {
    if (tokenizer.is_end_of_generation(id)) out.logit_bias.push_back({id, -1e9F});
  }
  return out;
}

class Waiter final : public scheduler::RequestListener {
 public:
  void on_start(int, int, int) override {}
  void on_progress(int, int, int, double) override {}
  bool on_token(const scheduler::TokenEvent&) override { return true; }
  void on_finish(const scheduler::Finish&) override {
    const std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
};

engine::SpeculationOptions no_drafts() {
  engine::SpeculationOptions out;
  out.type = engine::SpeculationOptions::Type::None;
  return out;
}

void EngineAlone(benchmark::State& state) {
  engine::SessionOptions options;
  options.n_context = 1024;
  options.use_mtp = false;
  engine::Session session(engine(), options);
  const auto tokens = prompt();
  session.prefill(std::span(tokens).first(tokens.size() - 1));
  const auto start = session.take_checkpoint();
  const int n = static_cast<int>(state.range(0));
  for (auto _ : state) {
    session.restore(start);
    session.prefill(std::span(tokens).last(1));
    engine::Generator generator(session, endless(), no_drafts());
    generator.observe_prompt();
    benchmark::DoNotOptimize(generator.generate({.max_tokens = n}).tokens.data());
  }
  state.SetItemsProcessed(state.iterations() * n);
}

void ThroughTheScheduler(benchmark::State& state) {
  scheduler::SchedulerOptions options;
  options.n_context = 1024;
  options.speculation = no_drafts();
  scheduler::Scheduler service(engine(), options);
  const int n = static_cast<int>(state.range(0));
  for (auto _ : state) {
    const auto waiter = std::make_shared<Waiter>();
    scheduler::Request request;
    request.prompt = prompt();
    request.sampling = endless();
    request.speculation = no_drafts();
    request.max_tokens = n;
    request.listener = waiter;
    static_cast<void>(service.submit(std::move(request)));
    waiter->wait();
  }
  state.SetItemsProcessed(state.iterations() * n);
}

BENCHMARK(EngineAlone)->Arg(1)->Arg(kTokens)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(ThroughTheScheduler)->Arg(1)->Arg(kTokens)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace foretoken
