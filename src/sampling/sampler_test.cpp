#include "sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/error.h"
#include "sampling/chi_square.h"
#include "sampling/select.h"

namespace foretoken::sampling {
namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInfinity = std::numeric_limits<float>::infinity();

SamplingParams greedy_params() {
  SamplingParams params;
  params.temperature = 0.0F;
  params.seed = 1;
  return params;
}

/// Temperature 1 and no filter: the softmax itself.
SamplingParams plain_params() {
  SamplingParams params;
  params.temperature = 1.0F;
  params.top_k = 0;
  params.top_p = 1.0F;
  params.min_p = 0.0F;
  params.seed = 1;
  return params;
}

std::vector<float> normal_logits(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> logits(n);
  for (float& x : logits) x = normal(random);
  return logits;
}

TEST(Sampler, GreedyIsArgmaxWithTheLowestIdOnTies) {
  Sampler sampler(greedy_params(), 5, 5);
  EXPECT_TRUE(sampler.greedy());
  EXPECT_TRUE(sampler.plain_argmax());
  const std::vector<float> logits = {1.0F, 4.0F, 2.0F, 4.0F, 0.0F};
  const Distribution law = sampler.distribution(logits);
  ASSERT_EQ(law.candidates.size(), 1U);
  EXPECT_EQ(law.top(), 1);
  EXPECT_EQ(law.candidates.front().p, 1.0F);
  EXPECT_EQ(sampler.draw(law), 1);
}

TEST(Sampler, PaddingRowsAreNeverSampled) {
  const std::vector<float> logits = {1.0F, 2.0F, 100.0F, 100.0F};
  Sampler greedy(greedy_params(), 4, 2);
  EXPECT_EQ(greedy.distribution(logits).top(), 1);
  Sampler plain(plain_params(), 4, 2);
  EXPECT_EQ(plain.distribution(logits).candidates.size(), 2U);
  const std::vector<TokenId> ids = {0, 1, 2, 3};
  EXPECT_EQ(plain.distribution(logits, ids).candidates.size(), 2U);
  SamplingParams biased = plain_params();
  biased.logit_bias = {{3, 50.0F}};
  Sampler with_bias(biased, 4, 2);
  EXPECT_EQ(with_bias.distribution(logits).candidates.size(), 2U);
  EXPECT_EQ(with_bias.distribution(logits, ids).candidates.size(), 2U);
}

TEST(Sampler, NanNeverWins) {
  const std::vector<float> logits = {kNan, 2.0F, kNan, 3.0F};
  EXPECT_EQ(Sampler(greedy_params(), 4, 3).distribution(logits).top(), 1);
  const Distribution law = Sampler(plain_params(), 4, 4).distribution(logits);
  ASSERT_EQ(law.candidates.size(), 2U);
  EXPECT_EQ(law.top(), 3);
  EXPECT_NEAR(law.candidates[0].p + law.candidates[1].p, 1.0, 1e-6);
}

TEST(Sampler, InfiniteLogitTakesAllTheMass) {
  const std::vector<float> logits = {1.0F, kInfinity, 2.0F};
  const Distribution law = Sampler(plain_params(), 3, 3).distribution(logits);
  EXPECT_EQ(law.top(), 1);
  EXPECT_EQ(law.candidates.front().p, 1.0F);
}

TEST(Sampler, NothingLeftIsAnErrorInWords) {
  for (const SamplingParams& params : {greedy_params(), plain_params()}) {
    Sampler sampler(params, 3, 3);
    const std::vector<float> logits = {kNan, -kInfinity, kNan};
    EXPECT_THROW(static_cast<void>(sampler.distribution(logits)), Error);
    const std::vector<TokenId> ids = {0, 1, 2};
    EXPECT_THROW(static_cast<void>(sampler.distribution(logits, ids)), Error);
  }
}

TEST(Sampler, RefusesWrongSizes) {
  EXPECT_THROW(Sampler(plain_params(), 4, 5), RequestError);
  EXPECT_THROW(Sampler(plain_params(), 4, 0), RequestError);
  Sampler sampler(plain_params(), 4, 4);
  const std::vector<float> logits(3);
  EXPECT_THROW(static_cast<void>(sampler.distribution(logits)), Error);
  const std::vector<TokenId> ids(2);
  EXPECT_THROW(static_cast<void>(sampler.distribution(logits, ids)), Error);
}

TEST(Sampler, DoesNotModifyTheLogits) {
  SamplingParams params = plain_params();
  params.presence_penalty = 1.0F;
  params.logit_bias = {{1, 5.0F}};
  params.top_n_sigma = 1.0F;
  Sampler sampler(params, 4, 4);
  sampler.accept(2);
  const std::vector<float> logits = {1.0F, 2.0F, 3.0F, 4.0F};
  const std::vector<float> before = logits;
  static_cast<void>(sampler.distribution(logits));
  EXPECT_EQ(logits, before);
}

TEST(Sampler, DefaultChainGivesTheHandComputedLaw) {
  // p(1) = .5 .3 .12 .05 .02 .01. top_k 5 drops the last; top_p .95 of the rest (.99) keeps the
  // sum .5+.3+.12 = .9293 and so the .05 too; min_p .11 (of .5: .055) then drops that.
  SamplingParams params = plain_params();
  params.top_k = 5;
  params.top_p = 0.95F;
  params.min_p = 0.11F;
  params.temperature = 0.5F;
  std::vector<float> logits;
  for (const double p : {0.02, 0.5, 0.01, 0.3, 0.05, 0.12}) {
    logits.push_back(static_cast<float>(std::log(p)));
  }
  const Distribution law = Sampler(params, 6, 6).distribution(logits);
  ASSERT_EQ(law.candidates.size(), 3U);
  const double sum = 0.25 + 0.09 + 0.0144;  // squares at temperature 1/2
  EXPECT_EQ(law.candidates[0].id, 1);
  EXPECT_NEAR(law.candidates[0].p, 0.25 / sum, 1e-6);
  EXPECT_EQ(law.candidates[1].id, 3);
  EXPECT_NEAR(law.candidates[1].p, 0.09 / sum, 1e-6);
  EXPECT_EQ(law.candidates[2].id, 5);
  EXPECT_NEAR(law.candidates[2].p, 0.0144 / sum, 1e-6);
}

TEST(Sampler, PenaltiesFollowTheHistory) {
  SamplingParams params = greedy_params();
  params.repeat_last_n = 2;
  params.presence_penalty = 10.0F;
  Sampler sampler(params, 3, 3);
  EXPECT_FALSE(sampler.plain_argmax());
  const std::vector<float> logits = {3.0F, 2.0F, 1.0F};
  EXPECT_EQ(sampler.distribution(logits).top(), 0);
  sampler.accept(0);
  EXPECT_EQ(sampler.distribution(logits).top(), 1);
  sampler.accept(1);
  EXPECT_EQ(sampler.distribution(logits).top(), 2);
  sampler.accept(2);  // 0 has left the window of two
  EXPECT_EQ(sampler.distribution(logits).top(), 0);
  sampler.rollback(2);
  EXPECT_EQ(sampler.distribution(logits).top(), 1);
  EXPECT_EQ(sampler.history_size(), 1);
}

TEST(Sampler, BiasAddsUpAndBans) {
  SamplingParams params = greedy_params();
  params.logit_bias = {{0, -kInfinity}, {2, 1.0F}, {2, 1.0F}};
  const std::vector<float> logits = {9.0F, 2.0F, 0.5F};
  EXPECT_EQ(Sampler(params, 3, 3).distribution(logits).top(), 2);
}

TEST(Sampler, ScoredRowsGiveTheSameLawAsTheFullVocabulary) {
  SamplingParams params = plain_params();
  params.top_k = 50;
  params.top_p = 0.9F;
  params.presence_penalty = 1.0F;
  params.repeat_penalty = 1.3F;
  params.dry_multiplier = 0.8F;
  params.logit_bias = {{17, 4.0F}, {18, -kInfinity}};
  const int n = 2000;
  Sampler full(params, n, n - 10);
  Sampler rows(params, n, n - 10);
  const std::vector<float> logits = normal_logits(n, 7);
  std::vector<TokenId> ids(n);
  for (int i = 0; i < n; ++i) ids[static_cast<std::size_t>(i)] = n - 1 - i;
  std::vector<float> reversed(logits.rbegin(), logits.rend());
  std::mt19937 random(8);
  for (int step = 0; step < 50; ++step) {
    const Distribution a = full.distribution(logits);
    const Distribution b = rows.distribution(reversed, ids);
    ASSERT_EQ(a.candidates.size(), b.candidates.size());
    for (std::size_t i = 0; i < a.candidates.size(); ++i) {
      ASSERT_EQ(a.candidates[i].id, b.candidates[i].id);
      // The softmax of an unsorted list may add in another order.
      ASSERT_FLOAT_EQ(a.candidates[i].p, b.candidates[i].p);
    }
    const TokenId next = random() % 2 == 0 ? full.draw(a) : static_cast<TokenId>(random() % n);
    full.accept(next);
    rows.accept(next);
  }
}

TEST(Sampler, LawIsDescendingAndSumsToOne) {
  for (const int top_k : {0, 40}) {
    for (const float typical_p : {1.0F, 0.9F}) {
      SamplingParams params = plain_params();
      params.top_k = top_k;
      params.typical_p = typical_p;
      params.min_p = 0.01F;
      const Distribution law = Sampler(params, 5000, 5000).distribution(normal_logits(5000, 9));
      double sum = 0.0;
      for (std::size_t i = 0; i < law.candidates.size(); ++i) {
        sum += static_cast<double>(law.candidates[i].p);
        if (i > 0) {
          ASSERT_GE(law.candidates[i - 1].p, law.candidates[i].p);
        }
      }
      EXPECT_NEAR(sum, 1.0, 1e-5);
    }
  }
}

TEST(Sampler, MinPAloneGivesTheSameLawAsTheLongWay) {
  SamplingParams shortcut = plain_params();
  shortcut.min_p = 0.02F;
  SamplingParams long_way = shortcut;
  long_way.top_p = 0.9999999F;  // keeps everything, but forces the whole law to be listed
  const std::vector<float> logits = normal_logits(3000, 14);
  const Distribution a = Sampler(shortcut, 3000, 3000).distribution(logits);
  const Distribution b = Sampler(long_way, 3000, 3000).distribution(logits);
  ASSERT_EQ(a.candidates.size(), b.candidates.size());
  for (std::size_t i = 0; i < a.candidates.size(); ++i) {
    EXPECT_EQ(a.candidates[i].id, b.candidates[i].id);
    EXPECT_FLOAT_EQ(a.candidates[i].p, b.candidates[i].p);
  }
}

TEST(Sampler, SeedDecidesTheStream) {
  const std::vector<float> logits = normal_logits(1000, 10);
  SamplingParams params;
  params.seed = 42;
  Sampler a(params, 1000, 1000);
  Sampler b(params, 1000, 1000);
  params.seed = 43;
  Sampler c(params, 1000, 1000);
  int same = 0;
  for (int i = 0; i < 200; ++i) {
    const Distribution law = a.distribution(logits);
    const TokenId token = a.draw(law);
    ASSERT_EQ(token, b.draw(law));
    same += token == c.draw(law) ? 1 : 0;
  }
  EXPECT_LT(same, 190);
  EXPECT_EQ(a.seed(), 42U);
  EXPECT_NE(Sampler(SamplingParams{}, 10, 10).seed(), kRandomSeed);
}

TEST(Sampler, DrawsFollowTheLaw) {
  SamplingParams params = plain_params();
  params.temperature = 0.6F;
  Sampler sampler(params, 12, 12);
  const Distribution law = sampler.distribution(normal_logits(12, 11));
  std::vector<int> observed(12, 0);
  std::vector<double> expected(12, 0.0);
  for (const Candidate& c : law.candidates) {
    expected[static_cast<std::size_t>(c.id)] = static_cast<double>(c.p);
  }
  for (int i = 0; i < 200000; ++i) ++observed[static_cast<std::size_t>(sampler.draw(law))];
  EXPECT_LT(chi_square_deviate(observed, expected), 4.0);
}

}  // namespace
}  // namespace foretoken::sampling
