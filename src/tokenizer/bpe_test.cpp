#include "tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>

#include "tokenizer/test_vocabulary.h"
#include "tokenizer/token_table.h"
#include "tokenizer/word_cache.h"

namespace foretoken::tokenizer {
namespace {

/// The definition, as slowly as it reads.
std::vector<TokenId> encode_by_definition(const Vocabulary& vocabulary, std::string_view piece) {
  std::map<std::string, TokenId> ids;
  for (std::size_t i = 0; i < vocabulary.spellings.size(); ++i) {
    ids[vocabulary.spellings[i]] = static_cast<TokenId>(i);
  }
  std::vector<std::string> symbols;
  for (const char c : piece) symbols.push_back(spell(std::string(1, c)));
  for (;;) {
    std::size_t best_rank = vocabulary.merges.size();
    std::size_t best_pos = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      for (std::size_t rank = 0; rank < best_rank; ++rank) {
        const MergeRule& rule = vocabulary.merges[rank];
        if (rule.left() != symbols[i] || rule.right() != symbols[i + 1]) continue;
        best_rank = rank;
        best_pos = i;
      }
    }
    if (best_rank == vocabulary.merges.size()) break;
    symbols[best_pos] += symbols[best_pos + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_pos) + 1);
  }
  std::vector<TokenId> out;
  for (const auto& symbol : symbols) out.push_back(ids.at(symbol));
  return out;
}

/// Random merges over a small alphabet, so that rules compete for the same bytes.
Vocabulary random_vocabulary(std::mt19937& rng, std::size_t n_merges) {
  Vocabulary vocabulary = bytes_vocabulary();
  std::vector<std::string> pool = {"a", "b", "c"};
  std::map<std::string, bool> taken;
  while (vocabulary.merges.size() < n_merges) {
    const std::string left = pool[rng() % pool.size()];
    const std::string right = pool[rng() % pool.size()];
    if (left.size() + right.size() > 12 || taken[left + right]) continue;
    taken[left + right] = true;
    add_merge(vocabulary, left, right);
    pool.push_back(left + right);
  }
  return vocabulary;
}

TEST(Bpe, BothWaysEqualTheDefinition) {
  std::mt19937 rng(3);
  for (int round = 0; round < 60; ++round) {
    const Vocabulary vocabulary = random_vocabulary(rng, 1 + rng() % 30);
    const Bpe bpe(vocabulary, TokenTable(vocabulary));
    for (int i = 0; i < 20; ++i) {
      std::string piece;
      for (std::size_t n = rng() % 64; n > 0; --n) piece += "abcd"[rng() % 4];
      const auto expected = encode_by_definition(vocabulary, piece);
      std::vector<TokenId> out;
      bpe.encode(piece, out);
      ASSERT_EQ(out, expected) << piece;
      out.clear();
      bpe.encode_long(piece, out);
      ASSERT_EQ(out, expected) << piece;
    }
  }
}

TEST(Bpe, EqualRanksMergeLeftmostFirst) {
  Vocabulary vocabulary = bytes_vocabulary();
  const TokenId aa = add_merge(vocabulary, "a", "a");
  const Bpe bpe(vocabulary, TokenTable(vocabulary));
  std::vector<TokenId> out;
  bpe.encode("aaa", out);
  EXPECT_EQ(out, (std::vector<TokenId>{aa, 'a'}));
}

TEST(Bpe, AMegabyteOfOneLetterTakesLinearithmicTime) {
  Vocabulary vocabulary = bytes_vocabulary();
  std::string run = "a";
  TokenId last = 'a';
  for (int i = 0; i < 6; ++i, run += run) last = add_merge(vocabulary, run, run);
  const Bpe bpe(vocabulary, TokenTable(vocabulary));
  std::vector<TokenId> out;
  const auto start = std::chrono::steady_clock::now();
  bpe.encode(std::string(1 << 20, 'a'), out);
  // A scan per merge would take 5e11 steps, minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_EQ(out, std::vector<TokenId>((1 << 20) / 64, last));
}

TEST(MergeTable, KnowsExactlyWhatWasAdded) {
  constexpr TokenId kLast = MergeTable::kMaxIds - 1;
  constexpr TokenId kStep = kLast / 2000;
  MergeTable table(2000);
  for (TokenId i = 0; i < 2000; ++i) {
    ASSERT_TRUE(table.add(i * kStep, kLast - i, i + 1));
  }
  EXPECT_FALSE(table.add(0, kLast, 7));
  for (TokenId i = 0; i < 2000; ++i) {
    const TokenId right = kLast - i;
    ASSERT_EQ(table.find_rank(i * kStep, right), static_cast<std::uint32_t>(i));
    ASSERT_EQ(table.result(static_cast<std::uint32_t>(i)), i + 1);
    ASSERT_EQ(table.find_rank(i * kStep + 1, right), MergeTable::kNoRank);
    ASSERT_EQ(table.find_rank(i * kStep, right - 2000), MergeTable::kNoRank);
  }
}

TEST(WordCache, FindsWhatWasStoredAndNothingElse) {
  WordCache cache;
  const std::vector<TokenId> ids = {1, 2, 3, 4, 5, 6, 7};
  const std::string longest(WordCache::kMaxPieceBytes, 'x');
  EXPECT_TRUE(cache.find(WordCache::Key(longest)).empty());
  cache.store(WordCache::Key(longest), ids);
  const auto found = cache.find(WordCache::Key(longest));
  EXPECT_EQ(std::vector<TokenId>(found.begin(), found.end()), ids);
  // Same padded bytes, other length.
  cache.store(WordCache::Key("a"), std::vector<TokenId>{9});
  EXPECT_TRUE(cache.find(WordCache::Key(std::string("a\0", 2))).empty());
  EXPECT_EQ(cache.find(WordCache::Key("a")).size(), 1u);
}

}  // namespace
}  // namespace foretoken::tokenizer
