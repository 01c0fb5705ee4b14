// What goes wrong for one request ends that request; what goes wrong in a pass ends the requests in
// it; the worker goes on in both cases, and nobody's text is harmed.
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <utility>

#include "scheduler_fixture.h"

namespace foretoken {
namespace {

using scheduler::Finish;
using scheduler::FinishReason;
using scheduler::Request;
using scheduler::Scheduler;
using testing::answer;
using testing::Recorder;
using testing::request_for;
using testing::shared_engine;
using testing::small_options;
using testing::submitted;
using testing::task_prompts;
using testing::text_alone;

constexpr int kTokens = kSanitized ? 10 : 32;

/// Passes everything on, and fails in a delta net once it is told to.
class BreakableOps final : public kernels::Ops {
 public:
  BreakableOps(std::unique_ptr<kernels::Ops> inner, const std::atomic<int>& fails_in)
      : inner_(std::move(inner)), fails_in_(fails_in) {}
  std::string_view name() const override { return inner_->name(); }
  std::unique_ptr<kernels::Matrix> pack(const kernels::MatrixSource& source) override {
    return inner_->pack(source);
  }
  void project(const kernels::Rows& in, std::span<const kernels::Projection> out) override {
    inner_->project(in, out);
  }
  void project_swiglu(const kernels::Rows& in, const kernels::Matrix& gate,
                      const kernels::Matrix& up, float* out) override {
    inner_->project_swiglu(in, gate, up, out);
  }
  void project_rows(const kernels::Rows& in, const kernels::Matrix& matrix,
                    std::span<const kernels::RowRange> ranges, float* out) override {
    inner_->project_rows(in, matrix, ranges, out);
  }
  void rms_norm(const kernels::Rows& in, float* out) override { inner_->rms_norm(in, out); }
  void store_kv(const kernels::StoreKvArgs& args) override { inner_->store_kv(args); }
  void attend(const kernels::AttendArgs& args) override { inner_->attend(args); }
  void delta_net(const kernels::DeltaNetArgs& args) override {
    if (fails_in_ > 0 && ++n_calls_ % fails_in_ == 0) throw std::runtime_error("out of luck");
    inner_->delta_net(args);
  }

 private:
  std::unique_ptr<kernels::Ops> inner_;
  const std::atomic<int>& fails_in_;
  int n_calls_ = 0;
};

TEST(SchedulingFailure, AFailedPassEndsItsRequestsAndTheWorkerGoesOn) {
  std::atomic<int> fails_in{0};
  engine::EngineOptions engine_options;
  engine_options.model_path = testing::tiny_model("tiny-base-BF16.gguf");
  engine_options.n_threads = 1;
  engine_options.wrap_ops = [&](std::unique_ptr<kernels::Ops> inner) {
    return std::make_unique<BreakableOps>(std::move(inner), fails_in);
  };
  engine::Engine engine(engine_options);
  Scheduler service(engine, small_options(2));
  const auto prompts = task_prompts(4);
  for (const int every : {1, 7, 40, 61}) {  // in the prompt, in a later layer, in later passes
    fails_in = every;
    std::vector<std::shared_ptr<Recorder>> doomed;
    for (const auto& prompt : prompts) {
      doomed.push_back(std::make_shared<Recorder>());
      submitted(service, request_for(prompt, 200, doomed.back()));
    }
    int n_failed = 0;
    for (const auto& recorder : doomed) {
      const Finish finish = recorder->wait();
      if (finish.reason == FinishReason::Error) {
        ++n_failed;
        EXPECT_EQ(finish.error, "out of luck");
      }
      EXPECT_EQ(recorder->n_finishes(), 1);
    }
    EXPECT_GT(n_failed, 0);
    fails_in = 0;
    // Whatever the failures left in slots and cache, texts are what they should be.
    for (const auto& prompt : prompts) {
      EXPECT_EQ(answer(service, prompt, kTokens)->ids(), text_alone(prompt, kTokens));
    }
  }
}

TEST(SchedulingFailure, AListenerThatThrowsEndsItsOwnRequestOnly) {
  engine::Engine& engine = shared_engine();
  Scheduler service(engine, small_options(2));
  const auto prompts = task_prompts(2);
  auto bad = std::make_shared<Recorder>();
  bad->hook = [n = 0](const scheduler::TokenEvent&) mutable -> bool {
    if (++n == 4) throw std::runtime_error("the listener is tired");
    return true;
  };
  auto good = std::make_shared<Recorder>();
  submitted(service, request_for(prompts[0], kTokens, bad));
  submitted(service, request_for(prompts[1], kTokens, good));
  const Finish finish = bad->wait();
  EXPECT_EQ(finish.reason, FinishReason::Error);
  EXPECT_EQ(finish.error, "the listener is tired");
  good->wait();
  EXPECT_EQ(good->ids(), text_alone(prompts[1], kTokens));
  EXPECT_EQ(answer(service, prompts[0], kTokens)->ids(), text_alone(prompts[0], kTokens));
}

}  // namespace
}  // namespace foretoken
