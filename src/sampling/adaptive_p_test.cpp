// Adaptive-p by its formula, worked by hand, and by what it promises.
#include "sampling/adaptive_p.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "sampling/sampler.h"

namespace foretoken::sampling {
namespace {

SamplingParams adaptive_params(float target, float decay) {
  SamplingParams params;
  params.adaptive_target = target;
  params.adaptive_decay = decay;
  params.seed = 1;
  return params;
}

Distribution law_of(const std::vector<double>& p) {
  Distribution law;
  for (const double x : p) {
    const auto id = static_cast<TokenId>(law.candidates.size());
    law.candidates.push_back({id, static_cast<float>(std::log(x)), static_cast<float>(x)});
  }
  return law;
}

TEST(AdaptiveP, PrefersWhatLiesNearTheTarget) {
  AdaptiveP adaptive(adaptive_params(0.3F, 0.5F));
  // |p - .3| / .3 is 1, 0 and 2/3.
  const double far = std::exp(5.0 - 10.0 / 2.0);
  const double near = std::exp(5.0);
  const double between = std::exp(5.0 - 10.0 * (4.0 / 9.0) / (1.0 + 2.0 / 3.0));
  const double sum = far + near + between;
  const Distribution law = adaptive.law(law_of({0.6, 0.3, 0.1}));
  EXPECT_EQ(law.top(), 1);
  EXPECT_NEAR(law.probability_of(0), far / sum, 1e-6);
  EXPECT_NEAR(law.probability_of(1), near / sum, 1e-6);
  EXPECT_NEAR(law.probability_of(2), between / sum, 1e-6);
}

TEST(AdaptiveP, AimsAgainstTheMeanOfWhatWasDrawn) {
  AdaptiveP adaptive(adaptive_params(0.3F, 0.5F));
  EXPECT_NEAR(adaptive.target(), 0.3, 1e-6);
  static_cast<void>(adaptive.law(law_of({0.6, 0.3, 0.1})));
  adaptive.accept(0);
  // The mean starts as .3 with weight 2: (.6 + .5 * .6) / (1 + .5 * 2) = .45; 2 * .3 - .45 = .15.
  EXPECT_NEAR(adaptive.target(), 0.15, 1e-6);
  adaptive.accept(0);  // not drawn from a law
  EXPECT_NEAR(adaptive.target(), 0.15, 1e-6);
  adaptive.rollback(1);
  EXPECT_NEAR(adaptive.target(), 0.15, 1e-6);
  adaptive.rollback(7);
  EXPECT_NEAR(adaptive.target(), 0.3, 1e-6);
}

/// Mean probability, before the transform, of the tokens drawn at a target.
double mean_drawn(float target) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.0F, 2.0F);
  Sampler sampler(adaptive_params(target, 0.9F), 30, 30);
  Sampler before(adaptive_params(-1.0F, 0.9F), 30, 30);
  EXPECT_TRUE(sampler.adapts());
  EXPECT_FALSE(before.adapts());
  double sum = 0.0;
  constexpr int kTokens = 2000;
  for (int i = 0; i < kTokens; ++i) {
    std::vector<float> logits(30);
    for (float& x : logits) x = normal(random);
    const TokenId token = sampler.draw(sampler.distribution(logits));
    sum += static_cast<double>(before.distribution(logits).probability_of(token));
    sampler.accept(token);
  }
  return sum / kTokens;
}

TEST(AdaptiveP, MeanOfWhatIsDrawnFollowsTheTarget) {
  // Proportional control: a part of the error stays where few tokens lie at the target.
  for (const float target : {0.15F, 0.3F, 0.5F}) {
    EXPECT_NEAR(mean_drawn(target), static_cast<double>(target), 0.08) << target;
  }
}

TEST(AdaptiveP, SeedReproducesItWithXtcToo) {
  SamplingParams params = adaptive_params(0.4F, 0.9F);
  params.xtc_probability = 0.5F;
  std::vector<TokenId> texts[2];
  for (std::vector<TokenId>& text : texts) {
    Sampler sampler(params, 50, 50);
    std::mt19937 random(4);
    std::normal_distribution<float> normal(0.0F, 2.0F);
    for (int i = 0; i < 100; ++i) {
      std::vector<float> logits(50);
      for (float& x : logits) x = normal(random);
      text.push_back(sampler.draw(sampler.distribution(logits)));
      sampler.accept(text.back());
    }
  }
  EXPECT_EQ(texts[0], texts[1]);
}

}  // namespace
}  // namespace foretoken::sampling
