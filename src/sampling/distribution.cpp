// Look-up and inverse-transform draw.
#include "sampling/distribution.h"

#include <cassert>

namespace foretoken::sampling {

Distribution Distribution::point_mass(TokenId id) {
  return Distribution{{Candidate{.id = id, .logit = 0.0F, .p = 1.0F}}};
}

float Distribution::probability_of(TokenId id) const {
  for (const Candidate& c : candidates) {
    if (c.id == id) return c.p;
  }
  return 0.0F;
}

TokenId draw(const Distribution& distribution, double u) {
  assert(!distribution.candidates.empty() && "a distribution has at least one candidate");
  double total = 0.0;
  for (const Candidate& c : distribution.candidates) total += static_cast<double>(c.p);
  // Scaling by the actual sum spreads the rounding error over all tokens instead of the last.
  const double goal = u * total;
  double cumulative = 0.0;
  TokenId last = distribution.candidates.front().id;
  for (const Candidate& c : distribution.candidates) {
    if (c.p <= 0.0F) continue;
    cumulative += static_cast<double>(c.p);
    last = c.id;
    if (goal < cumulative) break;
  }
  return last;
}

}  // namespace foretoken::sampling
