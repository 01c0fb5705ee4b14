#include "sampling/select.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace foretoken::sampling {
namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInfinity = std::numeric_limits<float>::infinity();

/// The definition: sort everything usable.
std::vector<Candidate> top_k_by_sorting(const std::vector<float>& logits, int k) {
  std::vector<Candidate> all;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > -kInfinity) all.push_back({static_cast<TokenId>(i), logits[i], 0.0F});
  }
  std::sort(all.begin(), all.end(), comes_before);
  all.resize(std::min(all.size(), static_cast<std::size_t>(k)));
  return all;
}

std::vector<float> random_logits(std::size_t n, int distinct, std::mt19937& random) {
  std::vector<float> logits(n);
  for (float& x : logits) {
    x = static_cast<float>(static_cast<int>(random() % static_cast<unsigned>(distinct))) * 0.125F;
    if (random() % 50 == 0) x = kNan;
    if (random() % 50 == 0) x = -kInfinity;
  }
  return logits;
}

TEST(Select, TopKEqualsSortingOnRandomLists) {
  std::mt19937 random(1);
  for (const std::size_t n : {1U, 5U, 63U, 64U, 65U, 127U, 1000U, 5000U}) {
    for (const int distinct : {1, 3, 1000000}) {
      for (const int k : {0, 1, 2, 20, 40, 64, 1000, 6000}) {
        const std::vector<float> logits = random_logits(n, distinct, random);
        const auto expected = top_k_by_sorting(logits, k);
        const auto found = select_top_k(logits, {}, k);
        ASSERT_EQ(found.size(), expected.size()) << n << " " << distinct << " " << k;
        for (std::size_t i = 0; i < found.size(); ++i) {
          ASSERT_EQ(found[i].id, expected[i].id) << n << " " << distinct << " " << k << " " << i;
          ASSERT_EQ(found[i].logit, expected[i].logit);
        }
      }
    }
  }
}

TEST(Select, ArgmaxEqualsTheFirstOfTopK) {
  std::mt19937 random(2);
  for (const std::size_t n : {1U, 15U, 16U, 17U, 4095U, 4096U, 4097U, 20000U}) {
    for (const int distinct : {1, 5, 1000000}) {
      const std::vector<float> logits = random_logits(n, distinct, random);
      const auto top = top_k_by_sorting(logits, 1);
      ASSERT_EQ(argmax(logits), top.empty() ? -1 : top.front().id) << n << " " << distinct;
    }
  }
}

TEST(Select, ArgmaxTakesTheLowestIndexOnTies) {
  std::vector<float> logits(10000, 1.0F);
  EXPECT_EQ(argmax(logits), 0);
  logits[9000] = logits[5000] = 2.0F;
  EXPECT_EQ(argmax(logits), 5000);
}

TEST(Select, ByShareKeepsWhatIsProbableEnough) {
  std::mt19937 random(3);
  for (const std::size_t n : {1U, 64U, 65U, 5000U}) {
    const std::vector<float> logits = random_logits(n, 1000, random);
    const int best = argmax(logits);
    const float largest = best < 0 ? 0.0F : logits[static_cast<std::size_t>(best)];
    std::vector<TokenId> expected;
    for (std::size_t i = 0; i < n; ++i) {
      if (logits[i] >= largest + std::log(0.05F)) expected.push_back(static_cast<TokenId>(i));
    }
    std::vector<TokenId> found;
    for (const Candidate& c : select_by_share(logits, {}, 0.05F)) found.push_back(c.id);
    ASSERT_EQ(found, expected) << n;
  }
  const std::vector<float> infinite = {1.0F, kInfinity};
  EXPECT_EQ(select_by_share(infinite, {}, 0.5F).size(), 1U);
}

TEST(Select, NothingUsableGivesNothing) {
  const std::vector<float> logits = {kNan, -kInfinity, kNan};
  EXPECT_EQ(argmax(logits), -1);
  EXPECT_EQ(argmax({}), -1);
  EXPECT_TRUE(select_top_k(logits, {}, 2).empty());
  EXPECT_TRUE(select_top_k({}, {}, 2).empty());
  EXPECT_TRUE(select_top_k(logits, {}, -1).empty());
  EXPECT_TRUE(select_all(logits, {}).empty());
  EXPECT_TRUE(select_by_share(logits, {}, 0.1F).empty());
  EXPECT_TRUE(select_by_share({}, {}, 0.1F).empty());
}

TEST(Select, NegativeLogitsAndInfinityAreRanked) {
  const std::vector<float> logits = {-5.0F, kInfinity, -1.0F, kNan};
  const auto found = select_top_k(logits, {}, 4);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].id, 1);
  EXPECT_TRUE(std::isfinite(found[0].logit));
  EXPECT_EQ(found[1].id, 2);
  EXPECT_EQ(found[2].id, 0);
}

TEST(Select, RowsCarryTheIdsGiven) {
  const std::vector<float> logits = {1.0F, 3.0F, 3.0F};
  const std::vector<TokenId> ids = {50, 40, 30};
  const auto found = select_top_k(logits, ids, 2);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].id, 30);  // the lower id on a tie, not the lower row
  EXPECT_EQ(found[1].id, 40);
}

}  // namespace
}  // namespace foretoken::sampling
