// Which sequence may draft how far when they share a pass. A pass has a flat region, columns that
// cost hardly anything; each column goes to the draft most likely to be reached and kept.
// Source: docs/scheduling.md, "Drafts from one budget".
#pragma once

#include <span>
#include <vector>

namespace foretoken::scheduler {

/// What a sequence could do with columns: reach[i] is the probability that drafts 0 .. i are all
/// kept, not rising; 0 where it would not draft.
struct ColumnBid {
  std::vector<double> reach;
};

/// Drafts each sequence may make, so that all last tokens and drafts together take at most `budget`
/// columns; none when the last tokens fill it already. Greedy, which is best since reach never
/// rises; ties go to the sequence with fewer drafts, then to the first.
std::vector<int> share_columns(std::span<const ColumnBid> bids, int budget);

}  // namespace foretoken::scheduler
