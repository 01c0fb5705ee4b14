// The window's counts change by at most two tokens per step, in either direction.
#include "sampling/history.h"

#include <algorithm>

namespace foretoken::sampling {

void History::forget_one(TokenId id) {
  const auto entry = counts_.find(id);
  if (--entry->second == 0) counts_.erase(entry);
}

void History::accept(TokenId id) {
  tokens_.push_back(id);
  if (window_ == 0) return;
  ++counts_[id];
  if (tokens_.size() > window_) forget_one(tokens_[tokens_.size() - 1 - window_]);
}

void History::rollback(int n) {
  for (; n > 0 && !tokens_.empty(); --n) {
    const TokenId id = tokens_.back();
    tokens_.pop_back();
    if (window_ == 0) continue;
    forget_one(id);
    // The window now reaches one token further back.
    if (tokens_.size() >= window_) ++counts_[tokens_[tokens_.size() - window_]];
  }
}

std::span<const TokenId> History::last(int n) const {
  const auto count = std::min(static_cast<std::size_t>(std::max(n, 0)), tokens_.size());
  return std::span<const TokenId>(tokens_).last(count);
}

}  // namespace foretoken::sampling
