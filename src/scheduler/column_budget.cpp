#include "scheduler/column_budget.h"

#include <cstddef>

namespace foretoken::scheduler {

std::vector<int> share_columns(std::span<const ColumnBid> bids, int budget) {
  std::vector<int> out(bids.size(), 0);
  const auto next = [&](std::size_t i) {
    const auto n = static_cast<std::size_t>(out[i]);
    return n < bids[i].reach.size() ? bids[i].reach[n] : 0.0;
  };
  for (int left = budget - static_cast<int>(bids.size()); left > 0; --left) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < bids.size(); ++i) {
      if (next(i) > next(best) || (next(i) == next(best) && out[i] < out[best])) best = i;
    }
    if (bids.empty() || next(best) <= 0.0) break;
    ++out[best];
  }
  return out;
}

}  // namespace foretoken::scheduler
