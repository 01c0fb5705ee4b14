// The two sharings of a pass: prompt tokens beside decoding, and columns among drafts.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "scheduler/column_budget.h"
#include "scheduler/prefill_pacer.h"

namespace foretoken::scheduler {
namespace {

TEST(PrefillPacer, ReadsInTheLargestStretchesWhenNobodyWaits) {
  PrefillPacer pacer(512, 0.2);
  EXPECT_EQ(pacer.n_tokens(0.0), 512);
  pacer.observe(100, 100.0);
  EXPECT_EQ(pacer.n_tokens(0.0), 512);
}

TEST(PrefillPacer, FillsWhatIsLeftOfTheTargetTime) {
  PrefillPacer pacer(512, 0.2);
  EXPECT_LT(pacer.n_tokens(0.05), 64);  // nothing measured yet
  for (int i = 0; i < 50; ++i) pacer.observe(100, 0.1);
  EXPECT_NEAR(pacer.n_tokens(0.05), 150, 1);
  EXPECT_NEAR(pacer.n_tokens(0.1), 100, 1);
  // A step that takes longer than the target by itself: as long again for prompts.
  EXPECT_NEAR(pacer.n_tokens(0.4), 400, 1);
}

TEST(PrefillPacer, FollowsTheMeasuredCostWithinItsBounds) {
  PrefillPacer pacer(256, 0.2);
  for (int i = 0; i < 50; ++i) pacer.observe(10, 10.0);
  EXPECT_EQ(pacer.n_tokens(0.1), 8);
  for (int i = 0; i < 50; ++i) pacer.observe(1000, 0.001);
  EXPECT_EQ(pacer.n_tokens(0.1), 256);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double seconds : {0.0, -1.0, HUGE_VAL, nan}) pacer.observe(10, seconds);
  pacer.observe(0, 1.0);
  EXPECT_EQ(pacer.n_tokens(0.1), 256);
  EXPECT_EQ(PrefillPacer(4, 0.2).n_tokens(1e9), 4);
}

TEST(PrefillPacer, OldestPromptsGoFirst) {
  EXPECT_EQ(share_prefill(std::vector<int>{30, 50, 40}, 60), (std::vector<int>{30, 30, 0}));
  EXPECT_EQ(share_prefill(std::vector<int>{3, 5}, 60), (std::vector<int>{3, 5}));
  EXPECT_EQ(share_prefill(std::vector<int>{}, 60), std::vector<int>{});
}

TEST(ColumnBudget, ColumnsGoToTheLikeliestDrafts) {
  const std::vector<ColumnBid> bids = {{{0.9, 0.8, 0.7}}, {{0.5, 0.2}}, {{}}};
  EXPECT_EQ(share_columns(bids, 3), (std::vector<int>{0, 0, 0}));
  EXPECT_EQ(share_columns(bids, 5), (std::vector<int>{2, 0, 0}));
  EXPECT_EQ(share_columns(bids, 7), (std::vector<int>{3, 1, 0}));
  EXPECT_EQ(share_columns(bids, 99), (std::vector<int>{3, 2, 0}));
  EXPECT_EQ(share_columns({}, 8), std::vector<int>{});
}

TEST(ColumnBudget, EqualSequencesShareEvenly) {
  const std::vector<ColumnBid> bids(3, ColumnBid{{0.7, 0.7, 0.7, 0.7}});
  EXPECT_EQ(share_columns(bids, 9), (std::vector<int>{2, 2, 2}));
  EXPECT_EQ(share_columns(bids, 8), (std::vector<int>{2, 2, 1}));
}

TEST(ColumnBudget, NoOtherSharingKeepsMoreDrafts) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> p(0.1, 1.0);
  for (int round = 0; round < 200; ++round) {
    std::vector<ColumnBid> bids(3);
    for (ColumnBid& bid : bids) {
      double reach = 1.0;
      for (int i = 0; i < 4; ++i) bid.reach.push_back(reach *= p(random));
    }
    const auto value = [&](int a, int b, int c) {
      double sum = 0.0;
      const std::vector<int> n = {a, b, c};
      for (std::size_t s = 0; s < 3; ++s) {
        for (int i = 0; i < n[s]; ++i) sum += bids[s].reach[static_cast<std::size_t>(i)];
      }
      return sum;
    };
    const auto got = share_columns(bids, 8);
    ASSERT_EQ(std::accumulate(got.begin(), got.end(), 0), 5);
    for (int a = 0; a <= 4; ++a) {
      for (int b = 0; b <= 4; ++b) {
        const int c = 5 - a - b;
        if (c < 0 || c > 4) continue;
        EXPECT_LE(value(a, b, c), value(got[0], got[1], got[2]) + 1e-12);
      }
    }
  }
}

}  // namespace
}  // namespace foretoken::scheduler
