// Mirostat by the formulas of its paper, worked by hand, and by what it promises.
#include "sampling/mirostat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "sampling/chain.h"
#include "sampling/sampler.h"

namespace foretoken::sampling {
namespace {

SamplingParams mirostat_params(int version, float tau, float eta) {
  SamplingParams params;
  params.mirostat = version;
  params.mirostat_tau = tau;
  params.mirostat_eta = eta;
  params.temperature = 1.0F;
  params.seed = 1;
  return params;
}

CandidateList list_of(const std::vector<double>& p) {
  CandidateList list;
  for (const double x : p) {
    const auto id = static_cast<TokenId>(list.items.size());
    list.items.push_back({id, static_cast<float>(std::log(x)), 0.0F});
  }
  return list;
}

/// p_i ~ i^-s.
CandidateList power_law(std::size_t n, double s) {
  CandidateList list;
  for (std::size_t i = 0; i < n; ++i) {
    const double logit = -s * std::log(static_cast<double>(i + 1));
    list.items.push_back({static_cast<TokenId>(i), static_cast<float>(logit), 0.0F});
  }
  return list;
}

TEST(Mirostat, VersionTwoDropsWhatSurprisesMoreThanMu) {
  Mirostat mirostat(mirostat_params(2, 1.0F, 0.5F), 4);
  EXPECT_EQ(mirostat.mu(), 2.0);
  const CandidateList list = list_of({0.5, 0.26, 0.12, 0.12});  // 1, 1.94, 3.06, 3.06 bits
  const Distribution law = mirostat.law(list, 1.0F);
  ASSERT_EQ(law.candidates.size(), 2U);
  EXPECT_NEAR(law.candidates[0].p, 0.5 / 0.76, 1e-6);
  mirostat.accept(1);
  const double surprise = -std::log2(0.26 / 0.76);
  EXPECT_NEAR(mirostat.mu(), 2.0 - 0.5 * (surprise - 1.0), 1e-6);
  EXPECT_EQ(mirostat.law(list, 1.0F).candidates.size(), 1U);  // mu is 1.73 now
  mirostat.accept(0);                                         // without any surprise
  EXPECT_NEAR(mirostat.mu(), 2.5 - 0.5 * (surprise - 1.0), 1e-6);
}

TEST(Mirostat, KeepsTheBestTokenWhateverMuSays) {
  Mirostat mirostat(mirostat_params(2, 0.01F, 0.1F), 3);
  const Distribution law = mirostat.law(list_of({0.4, 0.3, 0.3}), 1.0F);
  ASSERT_EQ(law.candidates.size(), 1U);
  EXPECT_EQ(law.top(), 0);
}

TEST(Mirostat, VersionOneKeepsAsManyAsThePowerLawSays) {
  // s = 2, mu = 6: k = (2^6 / (1 - 1/1000))^(1/2) = 8.004.
  Mirostat steep(mirostat_params(1, 3.0F, 0.1F), 1000);
  EXPECT_EQ(steep.law(power_law(1000, 2.0), 1.0F).candidates.size(), 8U);
  // The temperature divides the exponent: s = 1, the limit k = 2^6 / log(1000) = 9.26.
  EXPECT_EQ(steep.law(power_law(1000, 2.0), 2.0F).candidates.size(), 9U);
  // Without slope the formula leaves one or, for a mu beyond the vocabulary, all.
  EXPECT_EQ(steep.law(power_law(1000, 0.0), 1.0F).candidates.size(), 1U);
  Mirostat wide(mirostat_params(1, 6.0F, 0.1F), 1000);
  EXPECT_EQ(wide.law(power_law(1000, 0.0), 1.0F).candidates.size(), 1000U);
}

TEST(Mirostat, PromptTokensAndRollbackLeaveNoTrace) {
  Mirostat mirostat(mirostat_params(2, 3.0F, 0.5F), 4);
  const CandidateList list = list_of({0.5, 0.25, 0.125, 0.125});
  mirostat.accept(1);
  mirostat.accept(2);
  EXPECT_EQ(mirostat.mu(), 6.0);
  static_cast<void>(mirostat.law(list, 1.0F));
  mirostat.accept(3);
  const double after_one = mirostat.mu();
  static_cast<void>(mirostat.law(list, 1.0F));
  mirostat.accept(0);
  EXPECT_NE(mirostat.mu(), after_one);
  mirostat.rollback(0);
  mirostat.rollback(1);
  EXPECT_EQ(mirostat.mu(), after_one);
  mirostat.rollback(1000);
  EXPECT_EQ(mirostat.mu(), 6.0);
}

TEST(Mirostat, HoldsTheMeanSurpriseAtItsTarget) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0.0F, 2.0F);
  for (const int version : {1, 2}) {
    for (const float tau : {1.5F, 3.0F}) {
      Sampler sampler(mirostat_params(version, tau, 0.1F), 400, 400);
      EXPECT_TRUE(sampler.adapts());
      double bits = 0.0;
      constexpr int kTokens = 3000;
      for (int i = 0; i < kTokens; ++i) {
        std::vector<float> logits(400);
        for (float& x : logits) x = normal(random);
        const Distribution law = sampler.distribution(logits);
        const TokenId token = sampler.draw(law);
        bits -= std::log2(static_cast<double>(law.probability_of(token)));
        sampler.accept(token);
      }
      EXPECT_NEAR(bits / kTokens, static_cast<double>(tau), 0.1) << version;
    }
  }
}

TEST(Mirostat, ReplacesEveryStepButTheTemperature) {
  SamplingParams params = mirostat_params(2, 50.0F, 0.1F);
  const SamplingParams bare = params;
  params.top_k = 1;
  params.presence_penalty = 5.0F;
  params.dynatemp_range = 1.0F;
  params.xtc_probability = 1.0F;
  Sampler sampler(params, 3, 3);
  Sampler expected(bare, 3, 3);
  sampler.accept(0);
  expected.accept(0);
  const std::vector<float> logits = {1.0F, 0.5F, 0.0F};
  const Distribution law = sampler.distribution(logits);
  ASSERT_EQ(law.candidates.size(), 3U);
  const Distribution same = expected.distribution(logits);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(law.probability_of(i), same.probability_of(i));
}

TEST(Mirostat, IsGreedyAtTemperatureZero) {
  SamplingParams params = mirostat_params(2, 5.0F, 0.1F);
  params.temperature = 0.0F;
  params.xtc_probability = 1.0F;
  EXPECT_TRUE(is_greedy(params));
  EXPECT_FALSE(adapts(params));
  const std::vector<float> logits = {1.0F, 1.5F, 0.0F};
  EXPECT_EQ(Sampler(params, 3, 3).distribution(logits).candidates.size(), 1U);
}

TEST(Mirostat, ExtremesStayALaw) {
  for (const int version : {1, 2}) {
    for (const float tau : {-3e38F, -5.0F, 0.0F, 3e38F}) {
      for (const float eta : {-3e38F, 0.0F, 3e38F}) {
        Sampler sampler(mirostat_params(version, tau, eta), 5, 5);
        const std::vector<float> logits = {0.0F, 1e30F, -1e30F, 3.0F, 3.0F};
        for (int i = 0; i < 5; ++i) {
          const Distribution law = sampler.distribution(logits);
          ASSERT_FALSE(law.candidates.empty());
          sampler.accept(sampler.draw(law));
        }
      }
    }
  }
}

}  // namespace
}  // namespace foretoken::sampling
