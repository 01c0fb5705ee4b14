// The model against reference numbers: logits, greedy continuations and MTP drafts computed in
// float32 by an independent PyTorch implementation from the same BF16 weights.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "npy.h"
#include "tiny_model.h"

namespace foretoken {
namespace {

using engine::Engine;
using engine::Session;
using testing::argmax;
using testing::relative_error;

/// One file, the goldens it must meet, and how well.
struct Case {
  std::string label;
  std::string path;
  std::string goldens;  ///< base.json or finetune.json
  std::string drafts;   ///< key of the MTP drafts, "" where the file has no head
  double tolerance;     ///< relative L2 error of the last row's logits
  bool reference = false;
};

engine::EngineOptions engine_options(const Case& c) {
  engine::EngineOptions options;
  options.model_path = c.path;
  options.n_threads = 2;
  options.backend.reference = c.reference;
  return options;
}

engine::SessionOptions exact_session() {
  engine::SessionOptions options;
  options.n_context = 1024;
  options.kv_types = {quant::Type::F32, quant::Type::F32};
  return options;
}

// Greedy continuation token by token; stops where the two best logits are closer than `margin`,
// since rounding alone may then decide.
void check_greedy(Session& session, const nlohmann::json& prompt, double margin) {
  const auto expected = prompt.at("greedy48").get<std::vector<TokenId>>();
  std::span<const float> logits = session.last_logits();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const TokenId best = argmax(logits);
    if (best != expected[i]) {
      const float gap =
          logits[static_cast<std::size_t>(best)] - logits[static_cast<std::size_t>(expected[i])];
      ASSERT_LT(gap, margin) << "greedy token " << i;
      return;
    }
    logits = session.run(std::span(&best, 1));
    session.commit(1);
  }
}

// The drafts recorded after a prefix of prompt + greedy text.
void check_drafts(const Engine& engine, const nlohmann::json& prompt, const nlohmann::json& drafts,
                  Session& session) {
  auto text = prompt.at("ids").get<std::vector<TokenId>>();
  for (const auto& id : prompt.at("greedy48")) text.push_back(id.get<TokenId>());
  const kernels::RowRange all{0, engine.config().n_vocab};
  std::vector<float> logits(static_cast<std::size_t>(engine.config().n_vocab));
  for (const auto& golden : drafts) {
    const auto p = golden.at("p").get<std::size_t>();
    session.rewind(0);
    session.prefill(std::span(text).first(p + 1));
    std::vector<TokenId> drafted;
    std::span<const float> hidden = session.mtp_begin(text[p + 1]);
    for (int step = 0; step < 3; ++step) {
      engine.mtp_head()->logits(hidden.data(), std::span(&all, 1), logits.data());
      drafted.push_back(argmax(logits));
      if (step < 2) hidden = session.mtp_continue(drafted.back());
    }
    EXPECT_EQ(drafted, golden.at("draft").get<std::vector<TokenId>>()) << "p = " << p;
  }
}

class GoldenModel : public ::testing::TestWithParam<Case> {};

TEST_P(GoldenModel, MatchesReference) {
  const Case& c = GetParam();
  if (c.path.empty()) GTEST_SKIP() << c.label << ": file not in this checkout";
  Engine engine(engine_options(c));
  Session session(engine, exact_session());
  const nlohmann::json goldens = testing::read_goldens(c.goldens);
  double worst = 0.0;
  for (const auto& prompt : goldens.at("prompts")) {
    SCOPED_TRACE(prompt.at("name").get<std::string>());
    session.rewind(0);
    session.prefill(prompt.at("ids").get<std::vector<TokenId>>());
    const auto expected = testing::read_npy(
        testing::source_path("tests/data/goldens/" + prompt.at("last_logits").get<std::string>()));
    const std::span<const float> logits = session.last_logits();
    ASSERT_EQ(logits.size(), expected.size());
    const double error = relative_error(logits, expected);
    worst = std::max(worst, error);
    EXPECT_LT(error, c.tolerance);
    // Logits are of size 10; an error of `tolerance` moves a gap by up to about 20 times that.
    check_greedy(session, prompt, 20.0 * c.tolerance);
    if (!c.drafts.empty() && c.tolerance < 1e-2) {
      check_drafts(engine, prompt, prompt.at(c.drafts), session);
    }
  }
  fmt::print("{}: worst relative error of the logits {:.2e} (allowed {:.0e})\n", c.label, worst,
             c.tolerance);
}

std::vector<Case> cases() {
  std::vector<Case> all = {
      {"base_bf16_reference", testing::tiny_model("tiny-base-BF16.gguf"), "base.json", "mtp", 1e-4,
       true},
      {"base_bf16", testing::tiny_model("tiny-base-BF16.gguf"), "base.json", "mtp", 1e-3},
      {"paw_bf16", testing::tiny_model("tiny-paw-BF16.gguf"), "finetune.json", "mtp_grafted", 1e-3},
  };
  return all;
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenModel, ::testing::ValuesIn(cases()),
                         [](const auto& param) { return param.param.label; });

}  // namespace
}  // namespace foretoken
