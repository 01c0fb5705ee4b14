// The first promise: drafts change speed, never text. Greedy text with the MTP head equals greedy
// text without, bit for bit, at any depth, cache type and thread count; sampled text has the same
// law.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "engine/generate.h"
#include "tiny_model.h"

namespace foretoken {
namespace {

using engine::Engine;
using engine::GenerateResult;
using engine::Generator;
using engine::Session;
using engine::SpeculationOptions;

constexpr char kModel[] = "tiny-paw-Q4_K_M.gguf";

std::unique_ptr<Engine> load(const std::string& name, int n_threads) {
  return std::make_unique<Engine>(engine::EngineOptions{.model_path = testing::tiny_model(name),
                                                        .n_threads = n_threads,
                                                        .backend = {},
                                                        .progress = {}});
}

std::vector<std::vector<TokenId>> prompts() {
  std::vector<std::vector<TokenId>> out;
  const auto tasks = testing::read_goldens("../acceptance/paw.json");
  for (std::size_t i = 0; i < tasks.size(); i += testing::kPromptStep) {
    out.push_back(tasks[i].at("prompts").at(0).get<std::vector<TokenId>>());
  }
  std::mt19937 random(1);
  for (int i = 0; i < (testing::kSanitized ? 1 : 4);
       ++i) {  // noise: the drafts are mostly wrong there
    std::vector<TokenId> noise(10 + random() % 100);
    for (TokenId& id : noise) id = static_cast<TokenId>(random() % 2000);
    out.push_back(noise);
  }
  return out;
}

struct Setting {
  int depth = 0;  // 0: no drafting
  bool adaptive = false;
  cache::KvTypes kv;
  float p_min = 0.0F;
  int vocabulary = 0;
};

GenerateResult greedy(Engine& engine, const std::vector<TokenId>& prompt, const Setting& setting,
                      int n = testing::kSanitized ? 12 : 48) {
  engine::SessionOptions session_options;
  session_options.n_context = 512;
  session_options.kv_types = setting.kv;
  Session session(engine, session_options);
  session.prefill(prompt);
  sampling::SamplingParams sampling;
  sampling.temperature = 0.0F;
  SpeculationOptions speculation;
  speculation.type =
      setting.depth == 0 ? SpeculationOptions::Type::None : SpeculationOptions::Type::DraftMtp;
  speculation.limits.n_max = setting.depth;
  speculation.limits.p_min = setting.p_min;
  speculation.adaptive = setting.adaptive;
  speculation.draft_vocabulary = setting.vocabulary;
  Generator generator(session, sampling, speculation);
  generator.observe_prompt();
  return generator.generate({.max_tokens = n, .ignore_end = true});
}

TEST(Lossless, GreedyTextIsTheSameAtEveryDepth) {
  const auto engine = load(kModel, 2);
  int accepted = 0;
  for (const auto& prompt : prompts()) {
    const auto expected = greedy(*engine, prompt, {});
    for (int depth = 1; depth <= engine::kMaxDraftChain; depth += testing::kSanitized ? 3 : 1) {
      const auto got = greedy(*engine, prompt, {.depth = depth, .kv = {}});
      ASSERT_EQ(got.tokens, expected.tokens) << "depth " << depth;
      accepted += got.stats.accepted;
    }
  }
  EXPECT_GT(accepted, testing::kSanitized ? 20 : 1000)
      << "drafts must have been accepted for this to mean anything";
}

TEST(Lossless, GreedyTextIsTheSameForEveryKvType) {
  const auto engine = load(kModel, 2);
  const auto all = prompts();
  for (const quant::Type key : {quant::Type::F32, quant::Type::F16, quant::Type::BF16,
                                quant::Type::Q8_0, quant::Type::Q4_0}) {
    for (const quant::Type value : {quant::Type::F16, quant::Type::Q8_0, quant::Type::Q4_0}) {
      for (std::size_t i = 0; i < all.size(); i += 5) {
        const cache::KvTypes kv{key, value};
        EXPECT_EQ(greedy(*engine, all[i], {.depth = 4, .kv = kv}).tokens,
                  greedy(*engine, all[i], {.kv = kv}).tokens);
      }
    }
  }
}

TEST(Lossless, GreedyTextIsTheSameForEveryThreadCount) {
  const auto all = prompts();
  std::vector<std::vector<TokenId>> expected;
  for (int n_threads = 1; n_threads <= 4; n_threads += testing::kSanitized ? 2 : 1) {
    const auto engine = load(kModel, n_threads);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto plain = greedy(*engine, all[i], {}).tokens;
      if (n_threads == 1) expected.push_back(plain);
      EXPECT_EQ(plain, expected[i]) << n_threads << " threads";
      EXPECT_EQ(greedy(*engine, all[i], {.depth = 3, .kv = {}}).tokens, expected[i])
          << n_threads << " threads";
    }
  }
}

TEST(Lossless, GreedyTextIsTheSameAtEveryInstructionSetLevel) {
  const auto all = prompts();
  for (const kernels::CpuLevel level : kernels::available_cpu_levels()) {
    Engine engine({.model_path = testing::tiny_model(kModel),
                   .n_threads = 2,
                   .backend = {.reference = false, .level = level},
                   .progress = {}});
    for (std::size_t i = 0; i < all.size(); i += 4) {
      EXPECT_EQ(greedy(engine, all[i], {.depth = 5, .kv = {}}).tokens,
                greedy(engine, all[i], {}).tokens)
          << kernels::cpu_level_name(level);
    }
  }
}

TEST(Lossless, AdaptiveDepthAndTrimmedVocabularyChangeNothing) {
  const auto engine = load(kModel, 2);
  for (const auto& prompt : prompts()) {
    const auto expected = greedy(*engine, prompt, {}).tokens;
    EXPECT_EQ(greedy(*engine, prompt, {.depth = 8, .adaptive = true, .kv = {}}).tokens, expected);
    EXPECT_EQ(greedy(*engine, prompt, {.depth = 4, .kv = {}, .p_min = 0.6F}).tokens, expected);
    EXPECT_EQ(greedy(*engine, prompt, {.depth = 4, .kv = {}, .vocabulary = 512}).tokens, expected);
  }
}

TEST(Lossless, TextUpToTheEdgeOfTheContextIsTheSame) {
  const auto engine = load(kModel, 2);
  const auto prompt = prompts().front();
  for (int room = 1; room <= 12; ++room) {
    const auto text = [&](int depth) {
      engine::SessionOptions session_options;
      session_options.n_context = static_cast<int>(prompt.size()) + room;
      Session session(*engine, session_options);
      session.prefill(prompt);
      sampling::SamplingParams sampling;
      sampling.temperature = 0.0F;
      SpeculationOptions speculation;
      speculation.type =
          depth == 0 ? SpeculationOptions::Type::None : SpeculationOptions::Type::DraftMtp;
      speculation.limits.n_max = depth;
      speculation.adaptive = false;
      Generator generator(session, sampling, speculation);
      generator.observe_prompt();
      const auto result = generator.generate({.max_tokens = -1, .ignore_end = true});
      EXPECT_EQ(result.reason, engine::StopReason::ContextFull);
      return result.tokens;
    };
    const auto expected = text(0);
    EXPECT_EQ(expected.size(), static_cast<std::size_t>(room) + 1);
    EXPECT_EQ(text(3), expected);
    EXPECT_EQ(text(8), expected);
  }
}

// Counts of the two tokens that follow a fixed prompt, over many seeds.
std::map<std::vector<TokenId>, int> sampled_pairs(Engine& engine,
                                                  const std::vector<TokenId>& prompt,
                                                  float temperature, int depth, int n_runs,
                                                  std::uint32_t first_seed,
                                                  engine::DraftRule rule) {
  engine::SessionOptions session_options;
  session_options.n_context = 512;
  Session session(engine, session_options);
  session.prefill(prompt);
  const cache::CheckpointPtr start = session.take_checkpoint();
  std::map<std::vector<TokenId>, int> counts;
  for (int i = 0; i < n_runs; ++i) {
    session.restore(start);
    sampling::SamplingParams sampling;
    sampling.temperature = temperature;
    sampling.seed = first_seed + static_cast<std::uint32_t>(i);
    SpeculationOptions speculation;
    speculation.type =
        depth == 0 ? SpeculationOptions::Type::None : SpeculationOptions::Type::DraftMtp;
    speculation.limits.n_max = depth;
    speculation.adaptive = false;
    speculation.rule = rule;
    Generator generator(session, sampling, speculation);
    generator.observe_prompt();
    ++counts[generator.generate({.max_tokens = 3, .ignore_end = true}).tokens];
  }
  return counts;
}

// Two-sample chi-square over the texts that are common enough, the rest pooled.
void expect_same_law(const std::map<std::vector<TokenId>, int>& a,
                     const std::map<std::vector<TokenId>, int>& b, int n) {
  double statistic = 0.0;
  int cells = 0;
  double rest_a = n;
  double rest_b = n;
  const auto add = [&](double x, double y) {
    if (x + y < 10.0) return;
    statistic += (x - y) * (x - y) / (x + y);
    ++cells;
  };
  for (const auto& [text, count] : a) {
    const auto other = b.find(text);
    const int count_b = other == b.end() ? 0 : other->second;
    if (count + count_b < 20) continue;
    add(count, count_b);
    rest_a -= count;
    rest_b -= count_b;
  }
  add(rest_a, rest_b);
  if (testing::kSanitized && cells < 3) return;  // too few runs for a verdict
  ASSERT_GT(cells, 2);
  // Wilson and Hilferty: the 1 - 1e-4 quantile (3.72 deviations) of chi-square with cells - 1
  // degrees.
  const double degrees = cells - 1;
  const double t = 2.0 / (9.0 * degrees);
  const double limit = degrees * std::pow(1.0 - t + 3.72 * std::sqrt(t), 3);
  EXPECT_LT(statistic, limit) << cells << " cells";
}

TEST(Lossless, SampledTextHasTheSameLaw) {
  const auto engine = load(kModel, 2);
  const auto all = prompts();
  constexpr int kRuns = testing::kSanitized ? 40 : 1500;
  for (const float temperature : {0.6F, 1.0F}) {
    // Noise: many continuations are likely, and drafts are sometimes right.
    const auto& prompt = all.back();
    using engine::DraftRule;
    const auto plain =
        sampled_pairs(*engine, prompt, temperature, 0, kRuns, 1000, DraftRule::Compare);
    const auto drafted =
        sampled_pairs(*engine, prompt, temperature, 2, kRuns, 900000, DraftRule::Rejection);
    expect_same_law(plain, drafted, kRuns);
    // Compared drafts give each seed its own text back, not only the law.
    constexpr int kSeeds = kRuns / 10;
    EXPECT_EQ(sampled_pairs(*engine, prompt, temperature, 2, kSeeds, 1000, DraftRule::Compare),
              sampled_pairs(*engine, prompt, temperature, 0, kSeeds, 1000, DraftRule::Compare));
  }
}

}  // namespace
}  // namespace foretoken
