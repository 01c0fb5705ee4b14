#include "sampling/dry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace foretoken::sampling {
namespace {

SamplingParams dry_params() {
  SamplingParams params;
  params.dry_multiplier = 1.0F;
  params.dry_base = 2.0F;
  params.dry_allowed_length = 2;
  return params;
}

using Tokens = std::vector<TokenId>;

TEST(Dry, PenalisesTheTokenThatWouldProlongARun) {
  // ... 1 2 3 9 ... 1 2 3 : emitting 9 would repeat a run of three, 2^(3-2) = 2.
  const auto amounts = Dry(dry_params()).penalties(Tokens{1, 2, 3, 9, 8, 1, 2, 3});
  ASSERT_EQ(amounts.size(), 1U);
  EXPECT_FLOAT_EQ(amounts.at(9), 2.0F);
}

TEST(Dry, TakesTheLongestRunPerToken) {
  // 9 follows "3" alone (too short), "2 3" (length 2) and "1 2 3" (length 3).
  const auto amounts = Dry(dry_params()).penalties(Tokens{3, 9, 2, 3, 9, 1, 2, 3, 9, 7, 1, 2, 3});
  EXPECT_FLOAT_EQ(amounts.at(9), 2.0F);
  EXPECT_EQ(amounts.size(), 1U);
}

TEST(Dry, RunsShorterThanAllowedAreFree) {
  EXPECT_TRUE(Dry(dry_params()).penalties(Tokens{3, 9, 5, 3}).empty());
  EXPECT_TRUE(Dry(dry_params()).penalties(Tokens{}).empty());
}

TEST(Dry, BreakersCutRunsAndAreNeverPenalised) {
  SamplingParams params = dry_params();
  params.dry_sequence_breakers = {{2}};
  EXPECT_TRUE(Dry(params).penalties(Tokens{1, 2, 3, 9, 8, 1, 2, 3}).empty());
  params.dry_sequence_breakers = {{9}};
  EXPECT_TRUE(Dry(params).penalties(Tokens{1, 2, 3, 9, 8, 1, 2, 3}).empty());
  params.dry_sequence_breakers = {{8, 1}, {8}};  // the longer breaker leaves "2 3": length 2
  EXPECT_FLOAT_EQ(Dry(params).penalties(Tokens{1, 2, 3, 9, 8, 1, 2, 3}).at(9), 1.0F);
}

TEST(Dry, PenaltyOfVeryLongRunsStaysFinite) {
  const auto amounts = Dry(dry_params()).penalties(Tokens(5000, 1));
  EXPECT_TRUE(std::isfinite(amounts.at(1)));
  EXPECT_GT(amounts.at(1), 1e30F);
}

TEST(Dry, EqualsTheQuadraticDefinitionOnRandomText) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    Tokens text(random() % 60);
    for (TokenId& id : text) id = static_cast<TokenId>(random() % 3);
    std::unordered_map<TokenId, int> longest;
    for (std::size_t end = 1; end < text.size(); ++end) {  // the earlier run ends before `end`
      int length = 0;
      while (static_cast<std::size_t>(length) < end &&
             text[end - 1 - static_cast<std::size_t>(length)] ==
                 text[text.size() - 1 - static_cast<std::size_t>(length)]) {
        ++length;
      }
      if (length >= 2) longest[text[end]] = std::max(longest[text[end]], length);
    }
    const auto amounts = Dry(dry_params()).penalties(text);
    ASSERT_EQ(amounts.size(), longest.size());
    for (const auto& [token, length] : longest) {
      ASSERT_FLOAT_EQ(amounts.at(token),
                      std::min(std::exp2f(static_cast<float>(length - 2)), 3e38F));
    }
  }
}

}  // namespace
}  // namespace foretoken::sampling
