#include "engine/cost_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace foretoken::engine {
namespace {

TEST(CostTable, KnowsAWidthOnceItOrBothSidesWereMeasured) {
  CostTable costs;
  EXPECT_FALSE(costs.knows(1));
  EXPECT_EQ(costs.verify_seconds(1), 0.0);
  costs.observe_verify(3, 1.0);
  EXPECT_FALSE(costs.knows(1));
  EXPECT_TRUE(costs.knows(3));
  EXPECT_FALSE(costs.knows(4));
  costs.observe_verify(1, 0.5);
  EXPECT_TRUE(costs.knows(1));
  EXPECT_TRUE(costs.knows(2));
  EXPECT_DOUBLE_EQ(costs.verify_seconds(1), 0.5);
  EXPECT_DOUBLE_EQ(costs.measured_seconds(3), 1.0);
  EXPECT_EQ(costs.measured_seconds(2), 0.0);
}

TEST(CostTable, NarrowerThanAnyMeasuredIsLittleCheaper) {
  CostTable costs;
  costs.observe_verify(5, 1.0);
  EXPECT_NEAR(costs.verify_seconds(3), 0.94, 1e-12);
  EXPECT_GE(costs.verify_seconds(1), 0.5);
}

TEST(CostTable, WidthsBeyondTheTableCountAsTheWidest) {
  CostTable costs;
  costs.observe_verify(kMaxPassWidth, 2.0);
  costs.observe_verify(kMaxPassWidth + 1, 7.0);
  EXPECT_TRUE(costs.knows(1000));
  EXPECT_DOUBLE_EQ(costs.verify_seconds(1000), 2.0);
}

TEST(CostTable, UnknownWidthsLieBetweenKnownOnesOrAreCheap) {
  CostTable costs;
  costs.observe_verify(1, 1.0);
  EXPECT_NEAR(costs.verify_seconds(9), 1.24, 1e-12);
  costs.observe_verify(5, 3.0);
  EXPECT_DOUBLE_EQ(costs.verify_seconds(3), 2.0);
  EXPECT_NEAR(costs.verify_seconds(6), 3.03, 1e-12);
}

TEST(CostTable, DraftTimeIsPerStep) {
  CostTable costs;
  costs.observe_verify(1, 1.0);
  EXPECT_DOUBLE_EQ(costs.draft_seconds(), 0.05);
  for (int round = 0; round < 4; ++round) costs.observe_draft(4, 0.8);
  EXPECT_DOUBLE_EQ(costs.draft_seconds(), 0.2);
}

TEST(CostTable, AStepOfSeveralIsSharedEvenlyAndGuessedFromWhatIsKnown) {
  CostTable costs;
  costs.observe_verify(1, 1.0);
  EXPECT_DOUBLE_EQ(costs.draft_seconds(2), 0.05 * 1.25 / 2);
  for (int round = 0; round < 4; ++round) costs.observe_draft(1, 0.1, 1);
  EXPECT_DOUBLE_EQ(costs.draft_seconds(1), 0.1);
  EXPECT_DOUBLE_EQ(costs.draft_seconds(5), 0.1 * 2.0 / 5);
  EXPECT_FALSE(costs.knows_draft(5));
  for (int round = 0; round < 4; ++round) costs.observe_draft(3, 1.5, 5);
  EXPECT_TRUE(costs.knows_draft(5));
  EXPECT_DOUBLE_EQ(costs.draft_seconds(5), 0.1);
  EXPECT_DOUBLE_EQ(costs.draft_seconds(1), 0.1);
  EXPECT_DOUBLE_EQ(costs.draft_seconds(9), 0.5 * 1.5 / 9);
}

TEST(CostTable, WhatACompanyCostsTellsWhatOneAloneDoes) {
  CostTable costs;
  costs.observe_verify(1, 1.0);
  for (int round = 0; round < 4; ++round) costs.observe_draft(1, 0.2, 5);
  EXPECT_DOUBLE_EQ(costs.draft_seconds(1), 0.1);
  EXPECT_DOUBLE_EQ(costs.draft_seconds(kMaxDraftCompany + 7),
                   costs.draft_seconds(kMaxDraftCompany));
}

TEST(CostTable, TheFirstDraftStepsAreNotBelievedWhenTheyAreSlow) {
  CostTable costs;
  costs.observe_verify(1, 1.0);
  costs.observe_draft(2, 20.0);
  EXPECT_FALSE(costs.knows_draft());
  EXPECT_DOUBLE_EQ(costs.draft_seconds(), 0.05);
  for (int round = 0; round < 3; ++round) costs.observe_draft(2, 0.2);
  EXPECT_TRUE(costs.knows_draft());
  EXPECT_DOUBLE_EQ(costs.draft_seconds(), 0.1);
}

TEST(CostTable, OneStallCountsAsTwiceTheAverageAtMost) {
  CostTable costs;
  for (int i = 0; i < 50; ++i) costs.observe_verify(1, 1.0);
  costs.observe_verify(1, 1000.0);
  EXPECT_NEAR(costs.verify_seconds(1), 1.1, 1e-9);
}

TEST(CostTable, FollowsALastingChange) {
  CostTable costs;
  for (int i = 0; i < 50; ++i) costs.observe_verify(1, 1.0);
  for (int i = 0; i < 100; ++i) costs.observe_verify(1, 8.0);
  EXPECT_NEAR(costs.verify_seconds(1), 8.0, 0.1);
}

TEST(CostTable, OldWidthsAreForgotten) {
  CostTable costs;
  costs.observe_verify(1, 1.0);
  costs.observe_verify(2, 50.0);
  EXPECT_DOUBLE_EQ(costs.verify_seconds(2), 50.0);
  for (int i = 0; i < 1100; ++i) costs.observe_verify(1, 1.0);
  EXPECT_NEAR(costs.verify_seconds(2), 1.03, 1e-12);
}

TEST(CostTable, IgnoresNonsense) {
  CostTable costs;
  costs.observe_verify(1, 1.0);
  for (const double seconds : {0.0, -1.0, HUGE_VAL, std::numeric_limits<double>::quiet_NaN()}) {
    costs.observe_verify(1, seconds);
    costs.observe_verify(0, 5.0);
    costs.observe_verify(kMaxPassWidth + 1, 5.0);
    costs.observe_draft(1, seconds);
    costs.observe_draft(0, 1.0);
    costs.observe_draft(-1, 1.0);
    costs.observe_draft(1, 1.0, 0);
    costs.observe_draft(1, 1.0, kMaxDraftCompany + 1);
  }
  EXPECT_DOUBLE_EQ(costs.verify_seconds(1), 1.0);
  EXPECT_DOUBLE_EQ(costs.draft_seconds(), 0.05);
}

}  // namespace
}  // namespace foretoken::engine
