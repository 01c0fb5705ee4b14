#include "tokenizer/merge_table.h"

#include <algorithm>
#include <bit>

namespace foretoken::tokenizer {

MergeTable::MergeTable(std::size_t n_rules) {
  const std::size_t n_slots = std::bit_ceil(std::max<std::size_t>(16, 2 * n_rules));
  shift_ = 64 - std::countr_zero(n_slots);
  mask_ = n_slots - 1;
  entries_.resize(n_slots);
}

bool MergeTable::add(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t key = pack(left, right);
  std::size_t slot = first_slot(key);
  while (entries_[slot].key != kEmpty) {
    if (entries_[slot].key == key) return false;
    slot = (slot + 1) & mask_;
  }
  entries_[slot] = {key, merge};
  return true;
}

}  // namespace foretoken::tokenizer
