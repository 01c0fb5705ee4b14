#include "cache/checkpoint_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <random>

namespace foretoken::cache {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr TokenId kTurn = 1;

// Messages of these lengths, each opened by kTurn.
std::vector<TokenId> messages(std::initializer_list<int> lengths) {
  std::vector<TokenId> out;
  for (const int length : lengths) {
    out.push_back(kTurn);
    out.insert(out.end(), static_cast<std::size_t>(length - 1), 5);
  }
  return out;
}

TEST(PlanCheckpoints, TakesEveryBorderAndTheLastTokenButOne) {
  // System, user, assistant, user, generation prompt.
  EXPECT_THAT(plan_checkpoints(messages({30, 10, 20, 10, 4}), kTurn, 0, 1000),
              ElementsAre(30, 40, 60, 70, 73));
}

TEST(PlanCheckpoints, LeavesOutWhatIsDone) {
  const auto prompt = messages({30, 10, 20, 10, 4});
  EXPECT_THAT(plan_checkpoints(prompt, kTurn, 40, 1000), ElementsAre(60, 70, 73));
  EXPECT_THAT(plan_checkpoints(prompt, kTurn, 41, 1000), ElementsAre(60, 70, 73));
  EXPECT_THAT(plan_checkpoints(prompt, kTurn, 73, 1000), IsEmpty());
  EXPECT_THAT(plan_checkpoints(prompt, kTurn, 1000, 1000), IsEmpty());
}

TEST(PlanCheckpoints, SpacesPointsOfLongMessagesFromTheirEnd) {
  EXPECT_THAT(plan_checkpoints(messages({100, 1000, 10}), kTurn, 0, 100),
              ElementsAre(100, 300, 700, 900, 1000, 1100, 1109));
  // What lies before the done tokens is left out, the rest keeps its places.
  EXPECT_THAT(plan_checkpoints(messages({100, 1000, 10}), kTurn, 500, 100),
              ElementsAre(700, 900, 1000, 1100, 1109));
}

TEST(PlanCheckpoints, TakesPlainTextAsOneMessage) {
  EXPECT_THAT(plan_checkpoints(std::vector<TokenId>(1000, 5), kTurn, 0, 100),
              ElementsAre(200, 600, 800, 900, 999));
  EXPECT_THAT(plan_checkpoints(std::vector<TokenId>(1000, 5), kTurn, 0, 0), ElementsAre(999));
  EXPECT_THAT(plan_checkpoints(std::vector<TokenId>(1000, 5), kTurn, -5, INT_MAX),
              ElementsAre(999));
}

TEST(PlanCheckpoints, KnowsTheSmallestPrompts) {
  EXPECT_THAT(plan_checkpoints({}, kTurn, 0, 1), IsEmpty());
  EXPECT_THAT(plan_checkpoints(messages({1}), kTurn, 0, 1), IsEmpty());
  EXPECT_THAT(plan_checkpoints(messages({2}), kTurn, 0, 1), ElementsAre(1));
  EXPECT_THAT(plan_checkpoints(messages({1, 1}), kTurn, 0, 1), ElementsAre(1));
}

TEST(PlanCheckpoints, IsBoundedForThousandsOfTinyMessages) {
  const std::vector<TokenId> prompt(30'000, kTurn);
  const std::vector<int> plan = plan_checkpoints(prompt, kTurn, 0, 1);
  ASSERT_EQ(plan.size(), static_cast<std::size_t>(kMostPlanned));
  EXPECT_EQ(plan.front(), 1);
  // The last half without a gap, then gaps that do not shrink towards the beginning.
  for (int i = 0; i < kMostPlanned / 2; ++i) {
    EXPECT_EQ(plan[plan.size() - 1 - static_cast<std::size_t>(i)], 29'999 - i);
  }
  for (std::size_t i = 2; i + 1 < plan.size(); ++i) {
    EXPECT_GE(plan[i] - plan[i - 1], plan[i + 1] - plan[i]) << i;
  }
}

TEST(PlanCheckpoints, IsAscendingUniqueAndInRangeForAnything) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<TokenId> prompt(random() % 3000);
    const auto rarity = 1 + random() % 200;
    for (TokenId& token : prompt) token = random() % rarity == 0 ? kTurn : 9;
    const int n_done = static_cast<int>(random() % 400) - 100;
    const int min_step = static_cast<int>(random() % 300) - 20;
    const std::vector<int> plan = plan_checkpoints(prompt, kTurn, n_done, min_step);
    EXPECT_LE(plan.size(), static_cast<std::size_t>(kMostPlanned));
    EXPECT_TRUE(std::ranges::is_sorted(plan, std::less_equal<>())) << "ascending, unique";
    for (const int at : plan) {
      EXPECT_GT(at, std::max(n_done, 0));
      EXPECT_LT(at, static_cast<int>(prompt.size()));
    }
    if (static_cast<int>(prompt.size()) - 1 > std::max(n_done, 0)) {
      EXPECT_EQ(plan.back(), static_cast<int>(prompt.size()) - 1);
    }
  }
}

}  // namespace
}  // namespace foretoken::cache
