// Merge rules by pair of token ids: an open-addressing hash table, about one memory access per
// question. A quarter of a million rules make 8 MiB, so the layout matters more than the
// arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/token.h"

namespace foretoken::tokenizer {

/// What a pair of tokens becomes. Lower ranks are applied first.
struct Merge {
  static constexpr std::uint32_t kNoRank = UINT32_MAX;
  std::uint32_t rank = kNoRank;  ///< kNoRank: the pair does not merge
  TokenId id = -1;
};

class MergeTable {
 public:
  /// Room for `n_rules` rules.
  explicit MergeTable(std::size_t n_rules);

  /// False, and nothing changes, when the pair has a rule already.
  [[nodiscard]] bool add(TokenId left, TokenId right, Merge merge);

  Merge find(TokenId left, TokenId right) const {
    const std::uint64_t key = pack(left, right);
    for (std::size_t slot = first_slot(key);; slot = (slot + 1) & mask_) {
      const Entry& entry = entries_[slot];
      if (entry.key == key) return entry.merge;
      if (entry.key == kEmpty) return {};
    }
  }

 private:
  static constexpr std::uint64_t kEmpty = UINT64_MAX;  // ids are not negative
  struct Entry {
    std::uint64_t key = kEmpty;
    Merge merge;
  };

  static std::uint64_t pack(TokenId left, TokenId right) {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
           static_cast<std::uint32_t>(right);
  }
  std::size_t first_slot(std::uint64_t key) const {
    // Fibonacci hashing; the upper half is folded in so that both ids reach the top bits.
    return static_cast<std::size_t>(((key ^ (key >> 29)) * 0x9E3779B97F4A7C15u) >> shift_);
  }

  int shift_;
  std::size_t mask_;
  std::vector<Entry> entries_;  // a power of two, at most half full
};

}  // namespace foretoken::tokenizer
