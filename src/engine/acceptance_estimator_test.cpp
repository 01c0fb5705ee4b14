#include "engine/acceptance_estimator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace foretoken::engine {
namespace {

TEST(AcceptanceEstimator, StartsByBelievingTheHead) {
  const AcceptanceEstimator estimator;
  EXPECT_NEAR(estimator.acceptance(0.5F, 0), 0.5, 0.05);
  EXPECT_GT(estimator.acceptance(0.99F, 0), 0.95);
  EXPECT_LT(estimator.acceptance(0.01F, 0), 0.05);
  EXPECT_NEAR(estimator.expected_at(0), 0.7, 1e-12);
}

TEST(AcceptanceEstimator, LearnsTheTruthOfABucket) {
  std::mt19937 random(1);
  AcceptanceEstimator estimator;
  for (int round = 0; round < 400; ++round) {
    const std::vector<float> sure = {0.97F};
    const std::vector<float> unsure = {0.3F};
    estimator.observe(sure, 1, random() % 10 < 4 ? 1 : 0);
    estimator.observe(unsure, 1, random() % 10 < 8 ? 1 : 0);
  }
  // The averages remember about 64 outcomes: one deviation is sqrt(.24 / 128) = .04.
  EXPECT_NEAR(estimator.acceptance(0.97F, 0), 0.4, 0.15);
  EXPECT_NEAR(estimator.acceptance(0.3F, 0), 0.8, 0.15);
}

TEST(AcceptanceEstimator, SeparatesPositionsOnceTheyAreKnown) {
  AcceptanceEstimator estimator;
  const std::vector<float> pair = {0.9F, 0.9F};
  for (int round = 0; round < 300; ++round) estimator.observe(pair, 2, 1);
  EXPECT_GT(estimator.acceptance(0.9F, 0), 0.9);
  EXPECT_LT(estimator.acceptance(0.9F, 1), 0.2);
  EXPECT_GT(estimator.expected_at(0), estimator.expected_at(1) + 0.5);
}

TEST(AcceptanceEstimator, DraftsNeverJudgedTellNothingAboutTheirBucket) {
  AcceptanceEstimator with_unjudged;
  AcceptanceEstimator without;
  const std::vector<float> drafts = {0.9F, 0.55F, 0.55F};
  const std::vector<float> judged = {0.9F};
  for (int round = 0; round < 50; ++round) {
    with_unjudged.observe(drafts, 3, 0);
    without.observe(judged, 1, 0);
  }
  EXPECT_DOUBLE_EQ(with_unjudged.acceptance(0.55F, 1), without.acceptance(0.55F, 1));
}

TEST(AcceptanceEstimator, AUselessHeadIsFoundOutAcrossBuckets) {
  AcceptanceEstimator estimator;
  const double at_first = estimator.acceptance(0.6F, 0);
  for (int round = 0; round < 12; ++round) {
    const std::vector<float> one = {0.2F + 0.05F * static_cast<float>(round)};
    estimator.observe(one, 1, 0);
  }
  EXPECT_LT(estimator.acceptance(0.97F, 0), 0.5 * at_first);
}

TEST(AcceptanceEstimator, UnusedPositionsDriftTowardsTheirNeighbour) {
  AcceptanceEstimator estimator;
  const std::vector<float> chain(4, 0.9F);
  for (int round = 0; round < 100; ++round) estimator.observe(chain, 4, 1);  // position 1 fails
  const double low = estimator.expected_at(3);
  const std::vector<float> one = {0.95F};
  for (int round = 0; round < 1000; ++round) estimator.observe(one, 1, 1);
  EXPECT_GT(estimator.expected_at(3), std::max(low, 0.9));
}

TEST(AcceptanceEstimator, SurvivesNonsense) {
  AcceptanceEstimator estimator;
  const std::vector<float> odd = {std::numeric_limits<float>::quiet_NaN(),
                                  -1.0F,
                                  2.0F,
                                  HUGE_VALF,
                                  0.0F,
                                  1.0F,
                                  0.5F,
                                  0.5F,
                                  0.5F,
                                  0.5F};
  for (int i = 0; i < 100; ++i) {
    estimator.observe(odd, 100, 50);
    estimator.observe(odd, -3, -1);
    estimator.observe({}, 3, 1);
  }
  for (const float confidence : odd) {
    for (const int position : {-5, 0, 7, 100}) {
      const double a = estimator.acceptance(confidence, position);
      EXPECT_GE(a, 0.0);
      EXPECT_LE(a, 1.0);
      EXPECT_GE(estimator.expected_at(position), 0.0);
      EXPECT_LE(estimator.expected_at(position), 1.0);
    }
  }
}

}  // namespace
}  // namespace foretoken::engine
