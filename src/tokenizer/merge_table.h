// Merge rules by pair of token ids: an open-addressing hash table whose entries are single words.
//
// Nearly every question about a rare word misses the nearer caches, so bytes count more than
// instructions: a pair and its rank share 64 bits, a quarter of a million rules take 4 MiB, and
// what a merge makes is kept apart because it is asked for only when the merge is applied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/token.h"

namespace foretoken::tokenizer {

class MergeTable {
 public:
  static constexpr int kIdBits = 22;
  static constexpr int kRankBits = 20;
  /// Token ids must stay below this, and there can be as many rules less one.
  static constexpr std::size_t kMaxIds = std::size_t{1} << kIdBits;
  static constexpr std::size_t kMaxRules = (std::size_t{1} << kRankBits) - 1;
  /// Above every rank: the pair does not merge.
  static constexpr std::uint32_t kNoRank = kMaxRules;

  /// Room for `n_rules` rules. Requires n_rules <= kMaxRules.
  explicit MergeTable(std::size_t n_rules);

  /// Adds the next rule; ranks count from 0. False, and nothing changes, when the pair has a rule.
  /// Requires ids in [0, kMaxIds).
  [[nodiscard]] bool add(TokenId left, TokenId right, TokenId result);

  /// Rank of the rule for a pair, or kNoRank. Lower ranks are applied first.
  std::uint32_t find_rank(TokenId left, TokenId right) const {
    const std::uint64_t pair = pack(left, right);
    for (std::size_t slot = first_slot(pair);; slot = (slot + 1) & mask_) {
      const std::uint64_t entry = entries_[slot];
      if (entry >> kRankBits == pair) return static_cast<std::uint32_t>(entry) & kNoRank;
      if (entry == kEmpty) return kNoRank;
    }
  }
  /// What the rule of this rank makes. Requires a rank that exists.
  TokenId result(std::uint32_t rank) const { return results_[rank]; }

 private:
  // No rule looks like this, as kNoRank is no rank of a rule.
  static constexpr std::uint64_t kEmpty = UINT64_MAX;

  static std::uint64_t pack(TokenId left, TokenId right) {
    return (static_cast<std::uint64_t>(left) << kIdBits) | static_cast<std::uint64_t>(right);
  }
  std::size_t first_slot(std::uint64_t pair) const {
    // Fibonacci hashing; the left id is folded onto the right one so that both reach the top bits.
    return static_cast<std::size_t>(((pair ^ (pair >> kIdBits)) * 0x9E3779B97F4A7C15u) >> shift_);
  }

  int shift_;
  std::size_t mask_;
  std::vector<std::uint64_t> entries_;  // pair and rank; a power of two, at most half full
  std::vector<TokenId> results_;        // by rank
};

}  // namespace foretoken::tokenizer
