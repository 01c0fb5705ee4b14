// The model against reference numbers: logits, greedy continuations and MTP drafts computed in
// float32 by an independent PyTorch implementation from the same BF16 weights.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

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

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.label; }

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
      engine.mtp_head()->logits(hidden.data(), 1, std::span(&all, 1), logits.data());
      drafted.push_back(argmax(logits));
      if (step < 2) hidden = session.mtp_continue(drafted.back());
    }
    EXPECT_EQ(drafted, golden.at("draft").get<std::vector<TokenId>>()) << "p = " << p;
  }
}

// A prompt that breaks off in the middle of a word, or is one word long, leaves the model
// undecided; there the same error of the weights moves the logits several times as far as on a
// whole question.
constexpr double kOutlier = 5.0;

class GoldenFile : public ::testing::TestWithParam<Case> {};

TEST_P(GoldenFile, MatchesReference) {
  const Case& c = GetParam();
  if (c.path.empty()) GTEST_SKIP() << c.label << ": the file is not beside this checkout";
  Engine engine(engine_options(c));
  Session session(engine, exact_session());
  const nlohmann::json goldens = testing::read_goldens(c.goldens);
  std::vector<double> errors;
  const auto& prompts = goldens.at("prompts");
  for (std::size_t i = 0; i < prompts.size(); i += testing::kSanitized ? 11 : 1) {
    const auto& prompt = prompts[i];
    if (c.reference && prompt.at("n").get<int>() > 65) continue;
    SCOPED_TRACE(prompt.at("name").get<std::string>());
    session.rewind(0);
    session.prefill(prompt.at("ids").get<std::vector<TokenId>>());
    const auto expected = testing::read_npy(
        testing::source_path("tests/data/goldens/" + prompt.at("last_logits").get<std::string>()));
    const std::span<const float> logits = session.last_logits();
    ASSERT_EQ(logits.size(), expected.size());
    const bool quantized = c.tolerance > 1e-2;
    errors.push_back(relative_error(logits, expected));
    EXPECT_LT(errors.back(), quantized ? kOutlier * c.tolerance : c.tolerance);
    if (quantized) continue;
    // Logits are of size 10; an error of `tolerance` moves a gap by up to about 20 times that.
    check_greedy(session, prompt, 20.0 * c.tolerance);
    if (!c.drafts.empty()) {
      check_drafts(engine, prompt, prompt.at(c.drafts), session);
    }
  }
  std::sort(errors.begin(), errors.end());
  const double median = errors[errors.size() / 2];
  if (!testing::kSanitized) {
    EXPECT_LT(median, c.tolerance);
  }
  fmt::print("{}: relative error of the logits: median {:.2e}, worst {:.2e} (allowed {:.0e})\n",
             c.label, median, errors.back(), c.tolerance);
}

// Relative error of a file's weights by type (docs/quant-formats.md, table of reference errors),
// for the coarsest type that carries a large part of the file. Eight layers add up errors that are
// not correlated, and 8-bit activations add 0.006 a product: the logits of a quantized file may be
// off by 4 times that in all.
double quantized_tolerance(double weight_error) { return 4.0 * (weight_error + 0.006); }

std::vector<Case> cases() {
  std::vector<Case> all = {
      {"base_bf16_reference", testing::tiny_model("tiny-base-BF16.gguf"), "base.json", "mtp", 1e-4,
       true},
      {"base_bf16", testing::tiny_model("tiny-base-BF16.gguf"), "base.json", "mtp", 1e-4},
      {"paw_bf16", testing::tiny_model("tiny-paw-BF16.gguf"), "finetune.json", "mtp_grafted", 1e-4},
      {"paw_q4_k_m", testing::tiny_model("tiny-paw-Q4_K_M.gguf"), "finetune.json", "",
       quantized_tolerance(0.071)},
  };
  // The files llama.cpp made, where this checkout has them beside it.
  const auto add = [&](const char* label, const char* name, const char* goldens, const char* drafts,
                       double tolerance) {
    all.push_back({label, testing::llama_made_file(name), goldens, drafts, tolerance});
  };
  if (!testing::kSanitized) {  // the same code as for our own file
    add("llama_base_bf16", "base-BF16.gguf", "base.json", "mtp", 1e-3);
    add("llama_graft_bf16", "graft-BF16.gguf", "finetune.json", "mtp_grafted", 1e-3);
  }
  add("llama_finetune_bf16_without_head", "finetune-noMTP-BF16.gguf", "finetune.json", "", 1e-3);
  add("llama_graft_f32", "graft-F32.gguf", "finetune.json", "mtp_grafted", 1e-4);
  add("llama_graft_f16", "graft-F16.gguf", "finetune.json", "mtp_grafted", 1e-3);
  add("llama_graft_q8_0", "graft-Q8_0.gguf", "finetune.json", "", quantized_tolerance(0.0053));
  add("llama_graft_q6_k", "graft-Q6_K.gguf", "finetune.json", "", quantized_tolerance(0.0177));
  add("llama_graft_q5_k_m", "graft-Q5_K_M.gguf", "finetune.json", "", quantized_tolerance(0.036));
  add("llama_graft_q4_k_m", "graft-Q4_K_M.gguf", "finetune.json", "", quantized_tolerance(0.071));
  add("llama_graft_iq4_nl", "graft-IQ4_NL.gguf", "finetune.json", "", quantized_tolerance(0.0757));
  add("llama_graft_iq4_xs", "graft-IQ4_XS.gguf", "finetune.json", "", quantized_tolerance(0.0763));
  add("llama_graft_q3_k_m", "graft-Q3_K_M.gguf", "finetune.json", "", quantized_tolerance(0.1505));
  add("llama_graft_q2_k", "graft-Q2_K.gguf", "finetune.json", "", quantized_tolerance(0.2972));
  return all;
}

// The quantized files against the readable backend on the same file: what is left is the rounding
// of activations to 8 bits, 0.006 a product, over the eight layers.
TEST(GoldenModel, FastKernelsAgreeWithTheReadableOnesOnQuantizedFiles) {
  std::vector<std::string> files = {testing::tiny_model("tiny-paw-Q4_K_M.gguf")};
  for (const char* name :
       {"graft-Q8_0.gguf", "graft-Q6_K.gguf", "graft-Q5_K_M.gguf", "graft-IQ4_NL.gguf",
        "graft-IQ4_XS.gguf", "graft-Q3_K_M.gguf", "graft-Q2_K.gguf"}) {
    const std::string path = testing::llama_made_file(name);
    if (!path.empty()) files.push_back(path);
  }
  const nlohmann::json goldens = testing::read_goldens("finetune.json");
  for (const std::string& path : files) {
    Engine fast(
        engine_options({.label = "", .path = path, .goldens = "", .drafts = "", .tolerance = 0.0}));
    Engine readable(engine_options({.label = "",
                                    .path = path,
                                    .goldens = "",
                                    .drafts = "",
                                    .tolerance = 0.0,
                                    .reference = true}));
    std::vector<double> errors;
    for (const auto& prompt : goldens.at("prompts")) {
      if (prompt.at("n").get<int>() > (testing::kSanitized ? 16 : 64)) continue;
      const auto ids = prompt.at("ids").get<std::vector<TokenId>>();
      Session a(fast, exact_session());
      Session b(readable, exact_session());
      a.prefill(ids);
      b.prefill(ids);
      errors.push_back(relative_error(a.last_logits(), b.last_logits()));
    }
    std::sort(errors.begin(), errors.end());
    const double median = errors[errors.size() / 2];
    fmt::print("{}: median {:.2e}, worst {:.2e}\n", path.substr(path.rfind('/') + 1), median,
               errors.back());
    // Of the few short prompts of a sanitized run each may be one of the outlying ones.
    EXPECT_LT(median, testing::kSanitized ? kOutlier * 0.03 : 0.03) << path;
    EXPECT_LT(errors.back(), kOutlier * 0.03) << path;
    EXPECT_GT(median, 0.0) << path;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenFile, ::testing::ValuesIn(cases()),
                         [](const auto& param) { return param.param.label; });

}  // namespace
}  // namespace foretoken
