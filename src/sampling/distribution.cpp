// Look-up, mixtures and inverse-transform draw.
#include "sampling/distribution.h"

#include <algorithm>
#include <cassert>
#include <unordered_map>

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

void sort_by_probability(Distribution& distribution) {
  std::vector<Candidate>& candidates = distribution.candidates;
  std::erase_if(candidates, [](const Candidate& c) { return c.p <= 0.0F; });
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& x, const Candidate& y) {
    return x.p != y.p ? x.p > y.p : comes_before(x, y);
  });
}

Distribution mixture(const Distribution& a, const Distribution& b, double share_of_b) {
  Distribution out = a;
  std::unordered_map<TokenId, std::size_t> place;
  for (std::size_t i = 0; i < out.candidates.size(); ++i) {
    Candidate& c = out.candidates[i];
    c.p = static_cast<float>((1.0 - share_of_b) * static_cast<double>(c.p));
    place.emplace(c.id, i);
  }
  for (const Candidate& c : b.candidates) {
    const auto [entry, is_new] = place.emplace(c.id, out.candidates.size());
    if (is_new) out.candidates.push_back({c.id, c.logit, 0.0F});
    out.candidates[entry->second].p += static_cast<float>(share_of_b * static_cast<double>(c.p));
  }
  sort_by_probability(out);
  return out;
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
