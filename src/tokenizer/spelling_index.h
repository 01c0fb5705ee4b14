// Ids of tokens by spelling, for the time a vocabulary is being read: three questions per merge
// rule, which with the standard library's map took most of the load time.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"

namespace foretoken::tokenizer {

/// Refers to the list of spellings, which must stay as it is.
class SpellingIndex {
 public:
  explicit SpellingIndex(const std::vector<std::string>& spellings)
      : spellings_(&spellings),
        slots_(std::bit_ceil(std::max<std::size_t>(16, 2 * spellings.size()))) {}

  /// The id of the token spelled so, -1 when there is none.
  TokenId find(std::string_view spelling) const { return slots_[slot_of(spelling)].id; }

  /// Makes `id` the token with its spelling, whether or not there was another.
  void set(TokenId id) {
    const std::string_view spelling = (*spellings_)[static_cast<std::size_t>(id)];
    slots_[slot_of(spelling)] = {static_cast<std::uint32_t>(hash(spelling)), id};
  }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    TokenId id = -1;
  };
  static std::size_t hash(std::string_view text) { return std::hash<std::string_view>{}(text); }

  /// Where the spelling stands, or the free slot where it would.
  std::size_t slot_of(std::string_view spelling) const {
    const std::size_t full_hash = hash(spelling);
    const auto low_hash = static_cast<std::uint32_t>(full_hash);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = (full_hash >> 20) & mask;; i = (i + 1) & mask) {
      const Slot& slot = slots_[i];
      if (slot.id < 0) return i;
      if (slot.hash != low_hash) continue;
      if ((*spellings_)[static_cast<std::size_t>(slot.id)] == spelling) return i;
    }
  }

  const std::vector<std::string>* spellings_;
  std::vector<Slot> slots_;  // a power of two, at most half full
};

}  // namespace foretoken::tokenizer
