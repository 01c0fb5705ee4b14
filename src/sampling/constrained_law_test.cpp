// A constraint's law is "mask first, then the chain". The sampler mostly gets there without masking
// the vocabulary; these tests hold the short way against the long one, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "base/error.h"
#include "sampling/log_probabilities.h"
#include "sampling/sampler.h"

namespace foretoken::sampling {
namespace {

constexpr int kVocab = 600;

/// Allows a set of tokens, and counts how it was asked.
class AllowSet final : public TokenConstraint {
 public:
  explicit AllowSet(std::set<TokenId> allowed) : allowed_(std::move(allowed)) {}
  bool restricts() const override { return restricts_; }
  bool allows(TokenId token) override { return ++n_asked, allowed_.contains(token); }
  void mask(std::span<float> logits) override {
    ++n_masked;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (!allowed_.contains(static_cast<TokenId>(i))) {
        logits[i] = -std::numeric_limits<float>::infinity();
      }
    }
  }
  void accept(TokenId) override {}
  void rollback(int) override {}
  std::vector<TokenId> forced(int) override { return {}; }

  bool restricts_ = true;
  int n_asked = 0;
  int n_masked = 0;

 private:
  std::set<TokenId> allowed_;
};

std::vector<float> random_logits(std::mt19937& random) {
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> logits(kVocab);
  // Rounded, so that ties occur.
  for (float& x : logits) x = std::round(normal(random) * 8.0F) / 8.0F;
  logits[random() % kVocab] = std::numeric_limits<float>::quiet_NaN();
  return logits;
}

AllowSet random_set(std::mt19937& random, unsigned share_percent) {
  std::set<TokenId> allowed{static_cast<TokenId>(random() % kVocab)};
  for (TokenId id = 0; id < kVocab; ++id) {
    if (random() % 100 < share_percent) allowed.insert(id);
  }
  return AllowSet(std::move(allowed));
}

std::vector<SamplingParams> settings() {
  std::vector<SamplingParams> out;
  const auto add = [&](auto change) {
    SamplingParams params;
    params.seed = 1;
    change(params);
    out.push_back(params);
  };
  add([](SamplingParams&) {});
  add([](SamplingParams& p) { p.temperature = 0.0F; });
  add([](SamplingParams& p) { p.top_k = 5, p.typical_p = 0.7F; });
  add([](SamplingParams& p) { p.top_k = 0; });
  add([](SamplingParams& p) { p.top_k = 0, p.top_p = 1.0F, p.min_p = 0.2F; });
  add([](SamplingParams& p) { p.top_n_sigma = 1.5F; });
  add([](SamplingParams& p) { p.presence_penalty = 1.5F, p.repeat_penalty = 1.2F; });
  add([](SamplingParams& p) { p.temperature = 0.0F, p.logit_bias = {{3, 50.0F}, {4, -50.0F}}; });
  add([](SamplingParams& p) { p.top_k = 300; });
  add([](SamplingParams& p) { p.xtc_probability = 0.4F, p.dynatemp_range = 0.3F; });
  add([](SamplingParams& p) { p.top_k = 0, p.top_p = 1.0F, p.xtc_probability = 0.4F; });
  add([](SamplingParams& p) {
    p.presence_penalty = 1.5F;
    p.order = {ChainStep::Temperature, ChainStep::TopK, ChainStep::Penalties, ChainStep::TopP};
  });
  return out;
}

TEST(ConstrainedLaw, EqualsMaskingFirstBitForBit) {
  std::mt19937 random(1);
  int n_short = 0;
  int n_long = 0;
  for (const SamplingParams& params : settings()) {
    for (const unsigned share : {0U, 1U, 10U, 60U, 99U}) {
      for (int round = 0; round < 20; ++round) {
        Sampler sampler(params, kVocab, kVocab - 8);
        for (int i = 0; i < 30; ++i) sampler.accept(static_cast<TokenId>(random() % kVocab));
        std::vector<float> logits = random_logits(random);
        AllowSet constraint = random_set(random, share);
        std::vector<float> masked = logits;
        constraint.mask(masked);
        if (std::none_of(masked.begin(), masked.end() - 8, [](float x) { return x > -1e30F; })) {
          continue;  // only padding was allowed
        }
        const Distribution expected = sampler.distribution(masked);
        constraint.n_masked = 0;
        const Distribution got = sampler.distribution(logits, constraint);
        ASSERT_EQ(got.candidates.size(), expected.candidates.size());
        for (std::size_t i = 0; i < got.candidates.size(); ++i) {
          ASSERT_EQ(got.candidates[i].id, expected.candidates[i].id);
          ASSERT_EQ(got.candidates[i].p, expected.candidates[i].p);
        }
        ++(constraint.n_masked == 0 ? n_short : n_long);
      }
    }
  }
  EXPECT_GT(n_short, 200);
  EXPECT_GT(n_long, 200);
}

TEST(ConstrainedLaw, AsksNothingWhileEverythingIsAllowed) {
  std::mt19937 random(2);
  AllowSet constraint({1});
  constraint.restricts_ = false;
  Sampler sampler(SamplingParams{}, kVocab, kVocab);
  const std::vector<float> logits = random_logits(random);
  EXPECT_EQ(sampler.distribution(logits, constraint).top(), sampler.distribution(logits).top());
  EXPECT_EQ(constraint.n_asked + constraint.n_masked, 0);
}

TEST(ConstrainedLaw, DraftsAreAllowedTokensOrNone) {
  std::mt19937 random(3);
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < kVocab; id += 2) ids.push_back(id);
  for (const SamplingParams& params : settings()) {
    Sampler sampler(params, kVocab, kVocab);
    const std::vector<float> all = random_logits(random);
    const std::span<const float> logits(all.data(), ids.size());
    AllowSet some = random_set(random, 20);
    const Distribution law = sampler.draft_distribution(logits, ids, some);
    ASSERT_FALSE(law.candidates.empty());
    for (const Candidate& c : law.candidates) EXPECT_TRUE(some.allows(c.id) && c.id % 2 == 0);
    AllowSet none({1, 3});
    EXPECT_TRUE(sampler.draft_distribution(logits, ids, none).candidates.empty());
    EXPECT_EQ(none.n_masked, 0);
  }
}

TEST(Logprobs, OfTheModelAreTheLogSoftmax) {
  const std::vector<float> logits = {0.0F, std::log(2.0F), std::log(5.0F), -1e30F,
                                     std::numeric_limits<float>::quiet_NaN()};
  const Logprobs out = model_logprobs(logits, 1, 2);
  EXPECT_NEAR(out.chosen, std::log(0.25), 1e-6);
  ASSERT_EQ(out.top.size(), 2U);
  EXPECT_EQ(out.top[0].token, 2);
  EXPECT_NEAR(out.top[0].logprob, std::log(0.625), 1e-6);
  EXPECT_EQ(out.top[1].token, 1);
}

TEST(Logprobs, ProbabilityZeroIsTheLowestFloat) {
  const float lowest = std::numeric_limits<float>::lowest();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> logits = {1.0F, -infinity, 2.0F};
  EXPECT_EQ(model_logprobs(logits, 1, 3).chosen, lowest);
  EXPECT_EQ(model_logprobs(logits, 9, 3).chosen, lowest);
  EXPECT_EQ(model_logprobs(logits, 1, 3).top.size(), 2U);
  const std::vector<float> nothing = {-infinity, -infinity};
  EXPECT_EQ(model_logprobs(nothing, 0, 1).chosen, lowest);
  const Distribution law{{{4, 0.0F, 0.75F}, {2, 0.0F, 0.25F}}};
  EXPECT_EQ(law_logprobs(law, 7, 5).chosen, lowest);
  EXPECT_NEAR(law_logprobs(law, 2, 5).chosen, std::log(0.25), 1e-6);
  EXPECT_EQ(law_logprobs(law, 2, 1).top.size(), 1U);
  EXPECT_EQ(law_logprobs(law, 2, 0).top.size(), 0U);
}

}  // namespace
}  // namespace foretoken::sampling
