// The chain beyond its usual steps: XTC as a mixture, dynamic temperature, and orders of one's own.
#include "sampling/chain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "sampling/accept.h"
#include "sampling/chi_square.h"
#include "sampling/sampler.h"

namespace foretoken::sampling {
namespace {

/// Temperature 1 and no filter.
SamplingParams plain_params() {
  SamplingParams params;
  params.temperature = 1.0F;
  params.top_k = 0;
  params.top_p = 1.0F;
  params.min_p = 0.0F;
  params.seed = 1;
  return params;
}

std::vector<float> logits_of(const std::vector<double>& p) {
  std::vector<float> logits;
  for (const double x : p) logits.push_back(static_cast<float>(std::log(x)));
  return logits;
}

std::vector<double> table_of(const Distribution& law, std::size_t n) {
  std::vector<double> p(n, 0.0);
  for (const Candidate& c : law.candidates) {
    p[static_cast<std::size_t>(c.id)] = static_cast<double>(c.p);
  }
  return p;
}

Distribution law_of(const SamplingParams& params, const std::vector<double>& p) {
  const int n = static_cast<int>(p.size());
  return Sampler(params, n, n).distribution(logits_of(p));
}

void expect_law(const Distribution& law, const std::vector<double>& expected) {
  const std::vector<double> got = table_of(law, expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(got[i], expected[i], 2e-6) << i;
}

const std::vector<double> kFive = {0.5, 0.3, 0.12, 0.05, 0.03};

TEST(Xtc, LawIsTheMixtureOfBothSidesOfTheCoin) {
  SamplingParams params = plain_params();
  params.xtc_threshold = 0.1F;
  params.xtc_probability = 0.25F;
  // Removed: .5 and .3, of the three that reach .1. What stays is .6, .25, .15 of .2.
  const Distribution law = law_of(params, kFive);
  expect_law(law, {0.375, 0.225, 0.75 * 0.12 + 0.25 * 0.6, 0.75 * 0.05 + 0.25 * 0.25,
                   0.75 * 0.03 + 0.25 * 0.15});
  EXPECT_TRUE(std::ranges::is_sorted(law.candidates, {}, [](const Candidate& c) { return -c.p; }));
  params.xtc_probability = 1.0F;
  expect_law(law_of(params, kFive), {0.0, 0.0, 0.6, 0.25, 0.15});
}

TEST(Xtc, LeavesTheListAloneWithoutTwoTopChoicesOrTooFewBehindThem) {
  SamplingParams params = plain_params();
  params.xtc_probability = 1.0F;
  params.xtc_threshold = 0.4F;  // one token reaches it
  expect_law(law_of(params, kFive), kFive);
  params.xtc_threshold = 0.51F;  // off
  expect_law(law_of(params, kFive), kFive);
  params.xtc_threshold = 0.1F;
  params.min_keep = 4;  // three would stay
  expect_law(law_of(params, kFive), kFive);
  params.min_keep = 3;
  expect_law(law_of(params, kFive), {0.0, 0.0, 0.6, 0.25, 0.15});
}

TEST(Xtc, MayRemoveTheBestTokenAtTemperatureZeroToo) {
  SamplingParams params = plain_params();
  params.temperature = 0.0F;
  params.xtc_probability = 0.25F;
  EXPECT_FALSE(is_greedy(params));
  expect_law(law_of(params, kFive), {0.75, 0.0, 0.25, 0.0, 0.0});
}

TEST(Xtc, DrawsAreThoseOfACoinThrownPerToken) {
  SamplingParams params = plain_params();
  params.temperature = 0.7F;
  params.xtc_probability = 0.4F;
  SamplingParams never = params;
  never.xtc_probability = 0.0F;
  SamplingParams always = params;
  always.xtc_probability = 1.0F;
  const Distribution sides[] = {law_of(never, kFive), law_of(always, kFive)};
  RandomStream random(3);
  std::vector<int> observed(kFive.size(), 0);
  for (int i = 0; i < 200000; ++i) {
    const bool removes = random.uniform() < 0.4;
    ++observed[static_cast<std::size_t>(draw(sides[removes ? 1 : 0], random.uniform()))];
  }
  EXPECT_LT(chi_square_deviate(observed, table_of(law_of(params, kFive), kFive.size())), 4.0);
}

TEST(Xtc, SpeculationKeepsItsLaw) {
  SamplingParams params = plain_params();
  params.xtc_probability = 0.5F;
  params.top_k = 4;
  params.temperature = 0.8F;
  Sampler sampler(params, 5, 5);
  const std::vector<Distribution> q = {
      sampler.distribution(logits_of({0.35, 0.2, 0.3, 0.1, 0.05}))};
  const Distribution p = sampler.distribution(logits_of(kFive));
  const std::vector<Distribution> target = {p, p};
  std::vector<int> observed(kFive.size(), 0);
  int n_accepted = 0;
  for (int i = 0; i < 200000; ++i) {
    const std::vector<TokenId> drafts = {sampler.draw(q[0])};
    const AcceptResult result =
        accept_sampled(drafts, q, target, [&] { return sampler.uniform(); });
    n_accepted += result.n_accepted;
    ++observed[static_cast<std::size_t>(result.n_accepted == 1 ? drafts[0] : result.next)];
  }
  EXPECT_LT(chi_square_deviate(observed, table_of(p, kFive.size())), 4.0);
  EXPECT_GT(n_accepted, 100000);
  EXPECT_LT(n_accepted, 199000);
}

/// softmax(log(p) / t).
std::vector<double> tempered(std::vector<double> p, double t) {
  double sum = 0.0;
  for (double& x : p) sum += x = std::pow(x, 1.0 / t);
  for (double& x : p) x /= sum;
  return p;
}

TEST(DynamicTemperature, FollowsTheNormalisedEntropy) {
  const std::vector<double> p = {0.5, 0.25, 0.25};
  const double share = 1.5 * std::log(2.0) / std::log(3.0);  // H = 1.5 bits of log2(3)
  SamplingParams params = plain_params();
  params.dynatemp_range = 0.5F;
  expect_law(law_of(params, p), tempered(p, 0.5 + share));
  params.dynatemp_exponent = 2.0F;
  expect_law(law_of(params, p), tempered(p, 0.5 + share * share));
  params.dynatemp_range = 3.0F;  // the lower end is cut off at 0
  expect_law(law_of(params, p), tempered(p, 4.0 * share * share));
}

TEST(DynamicTemperature, LooksAtWhatTheFiltersLeft) {
  SamplingParams params = plain_params();
  params.top_k = 2;
  params.dynatemp_range = 1.0F;
  const std::vector<double> p = {0.6, 0.2, 0.2};
  const double entropy = -(0.75 * std::log2(0.75) + 0.25 * std::log2(0.25));  // of log2(2)
  const std::vector<double> two = tempered({0.6, 0.2}, 2.0 * entropy);
  expect_law(law_of(params, p), {two[0], two[1], 0.0});
}

TEST(DynamicTemperature, RangeAroundZeroIsNotGreedy) {
  SamplingParams params = plain_params();
  params.temperature = 0.0F;
  EXPECT_TRUE(is_greedy(params));
  params.dynatemp_range = 0.5F;
  EXPECT_FALSE(is_greedy(params));
  const std::vector<double> p = {0.5, 0.25, 0.25};
  expect_law(law_of(params, p), tempered(p, 0.5 * 1.5 * std::log(2.0) / std::log(3.0)));
}

TEST(DynamicTemperature, ExtremesStayALaw) {
  for (const float exponent : {-50.0F, 0.0F, 50.0F}) {
    for (const float range : {1e-30F, 1.0F, 1e38F}) {
      SamplingParams params = plain_params();
      params.dynatemp_range = range;
      params.dynatemp_exponent = exponent;
      const Distribution law = law_of(params, {0.999, 0.001 - 1e-9, 1e-9});
      double sum = 0.0;
      for (const Candidate& c : law.candidates) sum += static_cast<double>(c.p);
      EXPECT_NEAR(sum, 1.0, 1e-6) << exponent << ' ' << range;
    }
  }
}

using enum ChainStep;

TEST(ChainOrder, DefaultOrderNamedIsTheDefault) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> logits(500);
  for (float& x : logits) x = normal(random);
  SamplingParams params;
  params.presence_penalty = 0.7F;
  params.dry_multiplier = 0.8F;
  params.top_n_sigma = 2.0F;
  params.typical_p = 0.9F;
  params.xtc_probability = 0.3F;
  SamplingParams named = params;
  named.order.assign(kDefaultOrder.begin(), kDefaultOrder.end());
  Sampler a(params, 500, 500);
  Sampler b(named, 500, 500);
  for (const TokenId id : {1, 2, 3, 1, 2}) a.accept(id), b.accept(id);
  const Distribution x = a.distribution(logits);
  const Distribution y = b.distribution(logits);
  ASSERT_EQ(x.candidates.size(), y.candidates.size());
  ASSERT_GT(x.candidates.size(), 1U);
  for (std::size_t i = 0; i < x.candidates.size(); ++i) {
    EXPECT_EQ(x.candidates[i].id, y.candidates[i].id);
    EXPECT_EQ(x.candidates[i].p, y.candidates[i].p);
  }
}

TEST(ChainOrder, TemperatureBeforeTopPWidensTheNucleus) {
  SamplingParams params = plain_params();
  params.temperature = 2.0F;
  params.top_p = 0.75F;
  const std::vector<double> p = {0.64, 0.16, 0.16, 0.04};
  expect_law(law_of(params, p), {2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0});  // of .64 and .16, square roots
  params.order = {Temperature, TopP};
  // Square roots first: .8 .4 .4 .2 of 1.8 are .444 .222 .222 .111; three reach .75.
  expect_law(law_of(params, p), {0.5, 0.25, 0.25, 0.0});
}

TEST(ChainOrder, WhatIsNotNamedIsOff) {
  SamplingParams params;  // top_k 40, top_p .95, min_p .05, temperature .8
  params.seed = 1;
  params.order = {MinP};
  expect_law(law_of(params, {0.9, 0.06, 0.04}), {0.9 / 0.96, 0.06 / 0.96, 0.0});
}

TEST(ChainOrder, PenaltiesBehindAFilterSeeWhatItLeft) {
  SamplingParams params = plain_params();
  params.presence_penalty = 100.0F;
  params.top_k = 2;
  const std::vector<float> logits = logits_of({0.5, 0.3, 0.2});
  Sampler before(params, 3, 3);
  params.order = {TopK, Penalties};
  Sampler after(params, 3, 3);
  before.accept(0);
  after.accept(0);
  EXPECT_NEAR(before.distribution(logits).probability_of(2), 0.4, 1e-6);
  EXPECT_NEAR(after.distribution(logits).probability_of(1), 1.0, 1e-6);
  EXPECT_EQ(after.distribution(logits).probability_of(2), 0.0F);
}

TEST(ChainOrder, XtcBeforeTheFiltersGivesEachSideItsOwn) {
  SamplingParams params = plain_params();
  params.xtc_probability = 0.5F;
  params.top_k = 1;
  params.order = {Xtc, TopK};
  expect_law(law_of(params, kFive), {0.5, 0.0, 0.5, 0.0, 0.0});
}

TEST(ChainOrder, EveryPermutationGivesALaw) {
  SamplingParams params;
  params.seed = 1;
  params.presence_penalty = 0.7F;
  params.dry_multiplier = 0.8F;
  params.top_n_sigma = 2.0F;
  params.typical_p = 0.9F;
  params.xtc_probability = 0.3F;
  params.dynatemp_range = 0.3F;
  params.order.assign(kDefaultOrder.begin(), kDefaultOrder.end());
  std::mt19937 random(6);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  for (int round = 0; round < 300; ++round) {
    std::shuffle(params.order.begin(), params.order.end(), random);
    params.temperature = round % 3 == 0 ? 0.0F : 0.8F;
    std::vector<float> logits(200);
    for (float& x : logits) x = std::round(normal(random) * 4.0F) / 4.0F;
    Sampler sampler(params, 200, 200);
    for (const TokenId id : {1, 2, 3, 1, 2}) sampler.accept(id);
    const Distribution law = sampler.distribution(logits);
    double sum = 0.0;
    for (const Candidate& c : law.candidates) sum += static_cast<double>(c.p);
    ASSERT_NEAR(sum, 1.0, 1e-5);
    ASSERT_TRUE(
        std::ranges::is_sorted(law.candidates, {}, [](const Candidate& c) { return -c.p; }));
  }
}

}  // namespace
}  // namespace foretoken::sampling
