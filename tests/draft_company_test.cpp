// Drafting in step: what the MTP head drafts for a sequence is the same whoever drafts beside it,
// and what goes wrong for one sequence is no other's business.
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>

#include "engine/batch.h"
#include "engine/mtp_drafter.h"
#include "tiny_model.h"

namespace foretoken {
namespace {

using engine::Draft;
using engine::DraftChoice;
using engine::DraftDecision;
using engine::DraftTask;
using engine::Engine;
using engine::Session;

Engine& shared_engine() {
  static Engine engine({.model_path = testing::tiny_model("tiny-paw-Q4_K_M.gguf"),
                        .n_threads = 2,
                        .backend = {},
                        .progress = {}});
  return engine;
}

sampling::Sampler sampler(float temperature, int seed) {
  sampling::SamplingParams params;
  params.temperature = temperature;
  params.seed = static_cast<std::uint32_t>(seed);
  return {params, shared_engine().config().n_vocab, shared_engine().tokenizer().n_real_vocab()};
}

// A sequence with a text, and what it wants drafted. Number i drafts i + 1 tokens; odd ones draw
// theirs; every third has two given tokens before its own.
class Sequence {
 public:
  Sequence(int number, const engine::SessionOptions& options, const engine::SessionPools& pools)
      : number_(number),
        session_(shared_engine(), options, pools),
        sampler_(sampler(number % 2 == 0 ? 0.0F : 1.0F, number)) {
    std::vector<TokenId> prompt;
    for (int i = 0; i < 30 + 5 * number; ++i) prompt.push_back((i * 37 + number * 101) % 1900);
    session_.prefill(prompt);
    for (const TokenId token : prompt) sampler_.accept(token);
    if (number % 3 == 2) given_ = {17, 18};
  }

  DraftTask task() {
    DraftTask out;
    out.session = &session_;
    out.sampler = &sampler_;
    out.request = {.last = 40 + number_,
                   .given = given_,
                   .n_max = number_ + 1,
                   .choice = number_ % 2 == 0 ? DraftChoice::Favourite : DraftChoice::Drawn};
    out.gate = [](std::span<const float>, int) { return DraftDecision::KeepAndContinue; };
    return out;
  }

 private:
  int number_;
  Session session_;
  sampling::Sampler sampler_;
  std::vector<TokenId> given_;
};

constexpr int kSequences = 4;

// Fresh sequences every time: what was drafted before must not matter.
std::vector<std::unique_ptr<Sequence>> sequences() {
  engine::SessionOptions options;
  options.n_context = 256;
  options.n_batch = 64;
  const engine::SessionPools pools = engine::make_session_pools(shared_engine(), options);
  std::vector<std::unique_ptr<Sequence>> out;
  for (int i = 0; i < kSequences; ++i) {
    out.push_back(std::make_unique<Sequence>(i, options, pools));
  }
  return out;
}

std::vector<DraftTask> tasks_of(const std::vector<std::unique_ptr<Sequence>>& all) {
  std::vector<DraftTask> out;
  for (const auto& sequence : all) out.push_back(sequence->task());
  return out;
}

void propose(std::span<DraftTask> tasks, engine::CostTable& costs) {
  engine::MtpDrafter drafter(shared_engine(), 1024);
  std::vector<DraftTask*> pointers;
  for (DraftTask& task : tasks) pointers.push_back(&task);
  drafter.propose(pointers, costs);
}

void expect_same(const Draft& got, const Draft& want) {
  EXPECT_EQ(got.tokens, want.tokens);
  EXPECT_EQ(got.confidence, want.confidence);
  EXPECT_EQ(got.n_given, want.n_given);
  EXPECT_EQ(got.n_steps, want.n_steps);
}

TEST(DraftCompany, DraftsInStepAreTheDraftsMadeAlone) {
  const auto first = sequences();
  const auto second = sequences();
  std::vector<DraftTask> alone = tasks_of(first);
  std::vector<DraftTask> together = tasks_of(second);
  engine::CostTable costs;
  for (DraftTask& task : alone) propose({&task, 1}, costs);
  propose(together, costs);
  for (std::size_t i = 0; i < alone.size(); ++i) {
    ASSERT_EQ(together[i].draft.n_own(), static_cast<int>(i) + 1);
    EXPECT_FALSE(together[i].failure);
    expect_same(together[i].draft, alone[i].draft);
    EXPECT_GT(together[i].draft.seconds, 0.0);
  }
}

TEST(DraftCompany, WhoeverFailsLeavesAndTheOthersGoOn) {
  const auto first = sequences();
  const auto second = sequences();
  std::vector<DraftTask> well = tasks_of(first);
  std::vector<DraftTask> ill = tasks_of(second);
  ill[2].gate = [](std::span<const float>, int) -> DraftDecision {
    throw std::runtime_error("no more");
  };
  engine::CostTable costs;
  propose(well, costs);
  propose(ill, costs);
  for (std::size_t i = 0; i < ill.size(); ++i) {
    EXPECT_EQ(ill[i].failure != nullptr, i == 2);
    if (i != 2) expect_same(ill[i].draft, well[i].draft);
  }
}

TEST(DraftCompany, TheGateHearsHowManyWouldGoOn) {
  const auto all = sequences();
  std::vector<DraftTask> tasks = tasks_of(all);
  std::vector<std::vector<int>> heard(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    tasks[i].request.given = {};
    tasks[i].gate = [&heard, i](std::span<const float>, int n_together) {
      heard[i].push_back(n_together);
      return DraftDecision::KeepAndContinue;
    };
  }
  engine::CostTable costs;
  propose(tasks, costs);
  // Number i leaves after i + 1 tokens, and those behind it know.
  const std::vector<std::vector<int>> want = {{4}, {3, 3}, {3, 2, 2}, {3, 2, 1, 1}};
  EXPECT_EQ(heard, want);
}

}  // namespace
}  // namespace foretoken
