// Measures over texts and prompts on the tiny models: acceptance of drafts, perplexity, KL
// divergence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "engine/generate.h"
#include "eval/acceptance.h"
#include "eval/bundled_text.h"
#include "eval/kl_divergence.h"
#include "eval/perplexity.h"
#include "eval/text_windows.h"
#include "random_model.h"
#include "tiny_model.h"

namespace foretoken {
namespace {

using ::testing::HasSubstr;

engine::Engine load(const std::string& name, int n_threads = 2) {
  return engine::Engine({.model_path = testing::tiny_model(name),
                         .n_threads = n_threads,
                         .backend = {},
                         .progress = {}});
}

std::vector<TokenId> bundled_tokens(const engine::Engine& engine) {
  return engine.tokenizer().encode(eval::bundled_text(), {.parse_special = false});
}

engine::SessionOptions window_of(int n) {
  return {.n_context = n, .n_batch = 100, .kv_types = {}, .use_mtp = false};
}

// ---- Acceptance ----

std::vector<eval::AcceptanceCategory> few_prompts() {
  return eval::parse_acceptance_prompts(
      R"({"categories": [
        {"name": "chat", "prompts": ["Who are you?", "What is your name?"]},
        {"name": "tools", "prompts": [{"messages": [{"role": "user", "content": "What is the weather in Oslo?"}],
          "tools": [{"type": "function", "function": {"name": "get_weather", "description": "Get the weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The city"}},
            "required": ["city"]}}}]}]}]})",
      "test");
}

// The same question, asked by hand.
TEST(MeasureAcceptance, CountsWhatTheGeneratorCounts) {
  engine::Engine engine = load("tiny-base-BF16.gguf");
  const auto categories = few_prompts();
  const eval::AcceptanceReport report = eval::measure_acceptance(
      engine, categories, {.max_depth = 3, .n_predict = 60, .temperatures = {0.0F}});
  ASSERT_EQ(report.runs.size(), 1U);
  ASSERT_EQ(report.runs[0].rows.size(), 2U);
  sampling::SamplingParams greedy;
  greedy.temperature = 0.0F;
  for (std::size_t c = 0; c < categories.size(); ++c) {
    const eval::AcceptanceRow& row = report.runs[0].rows[c];
    EXPECT_EQ(row.category, categories[c].name);
    EXPECT_EQ(row.n_prompts, static_cast<int>(categories[c].prompts.size()));
    for (int depth = 1; depth <= 3; ++depth) {
      engine::GenerateStats stats;
      for (const eval::AcceptancePrompt& prompt : categories[c].prompts) {
        engine::Session session(engine, {.n_context = 512, .n_batch = 512, .kv_types = {}});
        session.prefill(eval::encode_prompt(engine.tokenizer(), prompt, false));
        engine::SpeculationOptions speculation;
        speculation.type = engine::SpeculationOptions::Type::DraftMtp;
        speculation.limits.n_max = depth;
        speculation.adaptive = false;
        speculation.draft_vocabulary = 0;
        engine::Generator generator(session, greedy, speculation);
        generator.observe_prompt();
        stats.add(generator.generate({.max_tokens = 60}).stats);
      }
      const eval::AcceptanceCount& count = row.by_depth.at(static_cast<std::size_t>(depth - 1));
      EXPECT_EQ(count.drafted, stats.drafted);
      EXPECT_EQ(count.accepted, stats.accepted);
      EXPECT_EQ(count.rounds, stats.rounds);
      EXPECT_EQ(count.n_tokens, stats.n_tokens);
      EXPECT_EQ(count.drafted_at.size(), static_cast<std::size_t>(depth));
      EXPECT_GT(count.drafted, 0);
    }
  }
  // What the model was trained on and drafts without a fault (models/tiny/README.md).
  EXPECT_GT(report.runs[0].rows[1].by_depth[2].rate(), 0.95);
}

TEST(MeasureAcceptance, AllIsTheSumOfTheCategories) {
  engine::Engine engine = load("tiny-paw-Q4_K_M.gguf");
  const eval::AcceptanceReport report = eval::measure_acceptance(
      engine, few_prompts(), {.max_depth = 2, .n_predict = 40, .temperatures = {0.0F, 1.0F}});
  ASSERT_EQ(report.runs.size(), 2U);
  for (const eval::AcceptanceRun& run : report.runs) {
    EXPECT_EQ(run.all.n_prompts, 3);
    for (std::size_t depth = 0; depth < 2; ++depth) {
      eval::AcceptanceCount sum;
      for (const eval::AcceptanceRow& row : run.rows) sum.add(row.by_depth[depth]);
      const eval::AcceptanceCount& all = run.all.by_depth[depth];
      EXPECT_EQ(sum.drafted, all.drafted);
      EXPECT_EQ(sum.accepted_at, all.accepted_at);
      EXPECT_EQ(std::accumulate(all.drafted_at.begin(), all.drafted_at.end(), 0), all.drafted);
      EXPECT_EQ(std::accumulate(all.accepted_at.begin(), all.accepted_at.end(), 0), all.accepted);
      EXPECT_LE(all.rate(), 1.0);
      EXPECT_NEAR(all.tokens_per_round(), 1.0 + static_cast<double>(all.accepted) / all.rounds,
                  1e-12);
    }
  }
}

TEST(MeasureAcceptance, SampledFiguresRepeatAndDependOnTheSeed) {
  const auto run = [](int n_threads, std::uint32_t seed) {
    engine::Engine engine = load("tiny-paw-Q4_K_M.gguf", n_threads);
    const eval::AcceptanceReport report = eval::measure_acceptance(
        engine, few_prompts(),
        {.max_depth = 2, .n_predict = 60, .temperatures = {1.5F}, .seed = seed});
    const auto& all = report.runs[0].all.by_depth;
    return std::vector{all[0].drafted, all[0].accepted, all[1].drafted, all[1].accepted};
  };
  const std::vector<int> once = run(1, 1);
  EXPECT_EQ(run(3, 1), once);
  EXPECT_NE(run(1, 99), once);
}

TEST(MeasureAcceptance, RefusesAModelWithoutAHeadAndOptionsOutOfRange) {
  testing::RandomModel plain;
  plain.n_mtp_layers = 0;
  const testing::TemporaryFile file("acceptance_plain.gguf");
  testing::write_random_model(plain, file.path);
  engine::Engine headless({.model_path = file.path, .n_threads = 1, .backend = {}, .progress = {}});
  const auto refusal = [](engine::Engine& engine, const eval::AcceptanceOptions& options) {
    try {
      eval::measure_acceptance(engine, few_prompts(), options);
    } catch (const RequestError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal(headless, {}), HasSubstr("has no MTP head"));
  engine::Engine engine = load("tiny-paw-Q4_K_M.gguf");
  EXPECT_THAT(refusal(engine, {.max_depth = 0}), HasSubstr("use 1 to 8"));
  EXPECT_THAT(refusal(engine, {.max_depth = 9}), HasSubstr("use 1 to 8"));
  EXPECT_THAT(refusal(engine, {.n_predict = 1}), HasSubstr("answers of 1 tokens"));
  EXPECT_THAT(refusal(engine, {.temperatures = {}}), HasSubstr("no temperature"));
  EXPECT_THAT(refusal(engine, {.temperatures = {std::nanf("")}}), HasSubstr("not a number"));
  EXPECT_THAT(refusal(engine, {.n_context = 8}), HasSubstr("do not fit"));
}

TEST(MeasureAcceptance, StopsWhenToldTo) {
  engine::Engine engine = load("tiny-paw-Q4_K_M.gguf");
  EXPECT_THROW(eval::measure_acceptance(engine, few_prompts(), {},
                                        [](std::size_t done, std::size_t total) {
                                          EXPECT_EQ(total, 3U * 3U * 2U);
                                          return done < 2;
                                        }),
               Cancelled);
}

// ---- Windows and perplexity ----

TEST(TextWindows, CutATextAndScoreItsSecondHalves) {
  const eval::WindowPlan many = eval::plan_windows(1000, 100);
  EXPECT_EQ(many.n_windows, 10);
  EXPECT_EQ(many.first_scored, 51U);
  EXPECT_EQ(many.n_scored(), 490U);
  const eval::WindowPlan two = eval::plan_windows(200, 100);
  EXPECT_EQ(two.n_windows, 2);
  const eval::WindowPlan one = eval::plan_windows(199, 100);
  EXPECT_EQ(one.n_windows, 1);
  EXPECT_EQ(one.window, 100U);
  EXPECT_EQ(one.first_scored, 1U);
  EXPECT_EQ(eval::plan_windows(7, 100).window, 7U);
  EXPECT_THROW(eval::plan_windows(1, 100), RequestError);
  EXPECT_THROW(eval::plan_windows(100, 3), RequestError);
}

// The same figure from one forward pass per scored token.
TEST(Perplexity, IsThatOfTheLogitsOfEveryPlace) {
  engine::Engine engine = load("tiny-base-BF16.gguf");
  std::vector<TokenId> tokens = bundled_tokens(engine);
  tokens.resize(70);
  engine::Session session(engine, window_of(32));
  const eval::Perplexity result = eval::measure_perplexity(session, tokens);
  double nll = 0.0;
  int n = 0;
  engine::Session other(engine, window_of(32));
  for (std::size_t begin : {0U, 32U}) {
    for (std::size_t i = 17; i < 32; ++i) {
      other.rewind(0);
      other.prefill(std::span(tokens).subspan(begin, i));
      nll -= eval::log_probability(other.last_logits(), tokens[begin + i]);
      ++n;
    }
  }
  EXPECT_EQ(result.n_scored, static_cast<std::size_t>(n));
  EXPECT_NEAR(result.value, std::exp(nll / n), 1e-9 * result.value);
}

// ---- KL divergence ----

class SavedLogits : public ::testing::Test {
 protected:
  SavedLogits() : file_("evaluation.logits") {}

  eval::Perplexity save(const std::string& model, int n_threads = 2) {
    engine::Engine engine = load(model, n_threads);
    engine::Session session(engine, window_of(128));
    return eval::save_logits(session, bundled_tokens(engine), file_.path);
  }

  eval::KlDivergence compare(const std::string& model, int n_threads = 2) {
    engine::Engine engine = load(model, n_threads);
    const eval::LogitsFile base = eval::LogitsFile::open(file_.path);
    engine::Session session(engine, window_of(static_cast<int>(base.header().window)));
    return eval::measure_kl_divergence(session, base);
  }

  testing::TemporaryFile file_;
};

TEST_F(SavedLogits, AFileAgainstItselfDiffersByNothing) {
  const eval::Perplexity base = save("tiny-paw-BF16.gguf", 1);
  const eval::KlDivergence r = compare("tiny-paw-BF16.gguf", 3);
  EXPECT_EQ(r.n_scored, base.n_scored);
  EXPECT_EQ(r.divergence.value, 0.0);
  EXPECT_EQ(r.most, 0.0);
  EXPECT_EQ(r.rms_delta_p.value, 0.0);
  EXPECT_EQ(r.same_top.value, 1.0);
  EXPECT_EQ(r.ratio.value, 1.0);
  // Half a step of 40 / 65535 nats per token at most.
  EXPECT_NEAR(std::log(r.base.value), std::log(base.value), 4e-4);
}

TEST_F(SavedLogits, QuantizingCostsALittleAndAnotherModelMuch) {
  save("tiny-paw-BF16.gguf");
  const eval::KlDivergence quantized = compare("tiny-paw-Q4_K_M.gguf");
  const eval::KlDivergence other = compare("tiny-base-BF16.gguf");
  for (const eval::KlDivergence* r : {&quantized, &other}) {
    EXPECT_TRUE(std::isfinite(r->divergence.value));
    EXPECT_GT(r->divergence.value, 0.0);
    EXPECT_GT(r->divergence.standard_error, 0.0);
    EXPECT_LE(r->least, r->median);
    EXPECT_LE(r->median, r->p99);
    EXPECT_LE(r->p99, r->most);
    EXPECT_NEAR(r->ratio.value, r->measured.value / r->base.value, 1e-9 * r->ratio.value);
  }
  EXPECT_LT(quantized.divergence.value, other.divergence.value / 2);
  EXPECT_GT(quantized.same_top.value, other.same_top.value);
}

TEST_F(SavedLogits, AnotherVocabularyIsRefused) {
  save("tiny-paw-Q4_K_M.gguf");
  const eval::LogitsHeader header{.n_vocab = 7, .window = 4, .first_scored = 3, .n_windows = 1};
  {
    eval::LogitsWriter writer(file_.path, header, std::vector<TokenId>{0, 1, 2, 3});
    writer.write(std::vector<float>(7));
    writer.finish();
  }
  try {
    compare("tiny-paw-Q4_K_M.gguf");
    FAIL() << "accepted";
  } catch (const RequestError& error) {
    EXPECT_THAT(error.what(), HasSubstr("over 7 tokens, but the model has 2048"));
  }
}

TEST_F(SavedLogits, NothingIsLeftWhenStopped) {
  engine::Engine engine = load("tiny-paw-Q4_K_M.gguf");
  engine::Session session(engine, window_of(128));
  EXPECT_THROW(eval::save_logits(session, bundled_tokens(engine), file_.path,
                                 [](int done, int) { return done < 2; }),
               Cancelled);
  EXPECT_FALSE(std::filesystem::exists(file_.path));
}

}  // namespace
}  // namespace foretoken
