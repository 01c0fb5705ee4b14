#include "tokenizer/merge_table.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace foretoken::tokenizer {

MergeTable::MergeTable(std::size_t n_rules) {
  assert(n_rules <= kMaxRules);
  const std::size_t n_slots = std::bit_ceil(std::max<std::size_t>(16, 2 * n_rules));
  shift_ = 64 - std::countr_zero(n_slots);
  mask_ = n_slots - 1;
  entries_.assign(n_slots, kEmpty);
  results_.reserve(n_rules);
}

bool MergeTable::add(TokenId left, TokenId right, TokenId result) {
  const std::uint64_t pair = pack(left, right);
  std::size_t slot = first_slot(pair);
  while (entries_[slot] != kEmpty) {
    if (entries_[slot] >> kRankBits == pair) return false;
    slot = (slot + 1) & mask_;
  }
  entries_[slot] = (pair << kRankBits) | results_.size();
  results_.push_back(result);
  return true;
}

}  // namespace foretoken::tokenizer
