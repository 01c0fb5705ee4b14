#include "sampling/history.h"

#include <gtest/gtest.h>

#include <random>

namespace foretoken::sampling {
namespace {

/// The definition of counts(): look at the last `window` tokens.
std::unordered_map<TokenId, int> count(const std::vector<TokenId>& tokens, std::size_t window) {
  std::unordered_map<TokenId, int> counts;
  const std::size_t begin = tokens.size() - std::min(tokens.size(), window);
  for (std::size_t i = begin; i < tokens.size(); ++i) ++counts[tokens[i]];
  return counts;
}

TEST(History, CountsFollowAcceptAndRollback) {
  std::mt19937 random(4);
  for (const int window : {0, 1, 3, 10, 1000}) {
    History history(window);
    std::vector<TokenId> tokens;
    for (int step = 0; step < 500; ++step) {
      if (random() % 3 != 0) {
        tokens.push_back(static_cast<TokenId>(random() % 5));
        history.accept(tokens.back());
      } else {
        const int n = static_cast<int>(random() % 4);
        tokens.resize(tokens.size() - std::min(tokens.size(), static_cast<std::size_t>(n)));
        history.rollback(n);
      }
      ASSERT_EQ(history.size(), static_cast<int>(tokens.size()));
      ASSERT_EQ(history.counts(), count(tokens, static_cast<std::size_t>(window)));
    }
  }
}

TEST(History, RollbackBeyondTheStartEmptiesIt) {
  History history(4);
  history.accept(1);
  history.rollback(-1);
  EXPECT_EQ(history.size(), 1);
  history.rollback(100);
  EXPECT_EQ(history.size(), 0);
  EXPECT_TRUE(history.counts().empty());
  EXPECT_TRUE(history.last(3).empty());
}

TEST(History, LastIsOldestFirstAndClamped) {
  History history(0);
  for (const TokenId id : {5, 6, 7}) history.accept(id);
  const auto last = history.last(2);
  EXPECT_EQ(std::vector<TokenId>(last.begin(), last.end()), (std::vector<TokenId>{6, 7}));
  EXPECT_EQ(history.last(10).size(), 3U);
  EXPECT_TRUE(history.last(-1).empty());
}

}  // namespace
}  // namespace foretoken::sampling
