// The MTP head drafts as well as it did in training: acceptance on held-out prompts, by draft
// length, against the figures of the float32 reference (models/tiny/README.md), within two points.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/generate.h"
#include "tiny_model.h"

namespace foretoken {
namespace {

struct Case {
  std::string label;
  std::string model;
  std::string prompts;
  double rate[3];  // accepted / drafted with 1, 2, 3 drafts a round
};

class Acceptance : public ::testing::TestWithParam<Case> {};

TEST_P(Acceptance, MatchesTheReference) {
  const Case& c = GetParam();
  engine::Engine engine(
      {.model_path = testing::tiny_model(c.model), .n_threads = 2, .backend = {}, .progress = {}});
  engine::SessionOptions options;
  options.n_context = 1024;
  engine::Session session(engine, options);
  sampling::SamplingParams sampling;
  sampling.temperature = 0.0F;
  for (int depth = 1; depth <= 3; ++depth) {
    engine::GenerateStats stats;
    const auto tasks = testing::read_goldens("../acceptance/" + c.prompts);
    for (std::size_t t = 0; t < tasks.size(); t += testing::kPromptStep) {
      const auto& prompts = tasks[t].at("prompts");
      for (std::size_t i = 0; i < prompts.size(); i += testing::kSanitized ? 16 : 1) {
        const auto& prompt = prompts[i];
        session.rewind(0);
        session.prefill(prompt.get<std::vector<TokenId>>());
        engine::SpeculationOptions speculation;
        speculation.type = engine::SpeculationOptions::Type::DraftMtp;
        speculation.limits.n_max = depth;
        speculation.adaptive = false;
        speculation.draft_vocabulary = 0;
        engine::Generator generator(session, sampling, speculation);
        generator.observe_prompt();
        stats.add(generator.generate({.max_tokens = 160}).stats);
      }
    }
    const double rate = static_cast<double>(stats.accepted) / stats.drafted;
    fmt::print("{} n={}: {}/{} = {:.3f}, reference {:.3f}; {:.2f} tokens a round\n", c.label, depth,
               stats.accepted, stats.drafted, rate, c.rate[depth - 1],
               stats.mean_accepted_length());
    EXPECT_NEAR(rate, c.rate[depth - 1], testing::kSanitized ? 0.3 : 0.02);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Heads, Acceptance,
    ::testing::Values(
        Case{"base_on_base", "tiny-base-BF16.gguf", "base.json", {0.875, 0.797, 0.750}},
        Case{"graft_on_paw", "tiny-paw-BF16.gguf", "paw.json", {0.580, 0.450, 0.370}}),
    [](const auto& param) { return param.param.label; });

}  // namespace
}  // namespace foretoken
