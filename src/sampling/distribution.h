// The law a token is drawn from, after all transforms: a short list, most probable first. It is
// what the draft head hands to the acceptance rule as q, and the target as p.
#pragma once

#include <vector>

#include "base/token.h"

namespace foretoken::sampling {

/// One token that may be drawn. `logit` is after bias and penalties, before temperature.
struct Candidate {
  TokenId id = 0;
  float logit = 0.0F;
  float p = 0.0F;
};

/// Orders by descending logit, then ascending id: the one order used everywhere, so that ties never
/// depend on how a list was built. Logits must not be NaN.
inline bool comes_before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

/// The distribution a token is drawn from after all transforms: descending p, sums to 1 within
/// float rounding (one element with p = 1 at temperature 0). Every id occurs once.
struct Distribution {
  std::vector<Candidate> candidates;

  /// All mass on one token.
  static Distribution point_mass(TokenId id);

  /// The most probable token. Requires a candidate.
  TokenId top() const { return candidates.front().id; }

  /// Probability of the most probable token, 0 when empty.
  float top_probability() const { return candidates.empty() ? 0.0F : candidates.front().p; }

  /// Zero when `id` is not a candidate. Linear in the number of candidates.
  float probability_of(TokenId id) const;
};

/// Drops what has probability 0 and sorts the rest: most probable first, ties by `comes_before`.
void sort_by_probability(Distribution& distribution);

/// The law of drawing from b with probability `share_of_b` and from a otherwise. Both hold their
/// tokens with the same logits; 0 <= share_of_b <= 1.
Distribution mixture(const Distribution& a, const Distribution& b, double share_of_b);

/// The token at quantile u of the cumulative distribution, u in [0, 1). Rounding of the sum never
/// leads outside the list or to a token of probability 0. Requires a candidate with p > 0.
TokenId draw(const Distribution& distribution, double u);

}  // namespace foretoken::sampling
