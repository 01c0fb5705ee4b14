// The lists are short (at most top_k entries, often 20), so plain look-ups serve; an unfiltered q
// is sorted by id once when a draft is refused.
#include "sampling/accept.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace foretoken::sampling {
namespace {

/// Lists beyond this length are searched by halves.
constexpr std::size_t kLinearSearch = 64;

/// Answers probability_of for many ids.
class Lookup {
 public:
  explicit Lookup(const Distribution& law) : law_(law) {
    if (law.candidates.size() <= kLinearSearch) return;
    by_id_ = law.candidates;
    std::sort(by_id_.begin(), by_id_.end(),
              [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  }

  float probability_of(TokenId id) const {
    if (by_id_.empty()) return law_.probability_of(id);
    const auto at = std::lower_bound(by_id_.begin(), by_id_.end(), id,
                                     [](const Candidate& c, TokenId x) { return c.id < x; });
    return at != by_id_.end() && at->id == id ? at->p : 0.0F;
  }

 private:
  const Distribution& law_;
  std::vector<Candidate> by_id_;
};

void require_candidates(const Distribution& law, std::size_t position) {
  if (!law.candidates.empty()) return;
  throw Error(
      fmt::format("acceptance got an empty target distribution after {} drafts: expected at least "
                  "one candidate",
                  position));
}

}  // namespace

AcceptResult accept_greedy(std::span<const TokenId> drafts,
                           std::span<const TokenId> target_argmax) {
  if (target_argmax.empty()) {
    throw Error("acceptance got no target tokens: expected one more than drafts");
  }
  const std::size_t n = std::min(drafts.size(), target_argmax.size() - 1);
  std::size_t accepted = 0;
  while (accepted < n && drafts[accepted] == target_argmax[accepted]) ++accepted;
  return {.n_accepted = static_cast<int>(accepted), .next = target_argmax[accepted]};
}

bool accept_draft(TokenId draft, const Distribution& q, const Distribution& p, double u) {
  const double q_draft = static_cast<double>(q.probability_of(draft));
  const double p_draft = static_cast<double>(p.probability_of(draft));
  // u * q < p says u < p/q without dividing; p = 0 always refuses.
  return u * (q_draft > 0.0 ? q_draft : 1.0) < p_draft;
}

TokenId draw_residual(TokenId draft, const Distribution& q, const Distribution& p, double u) {
  Distribution residual;
  residual.candidates.reserve(p.candidates.size());
  const Lookup q_law(q);
  const bool is_point_mass = q_law.probability_of(draft) <= 0.0F;
  for (const Candidate& c : p.candidates) {
    const float taken = is_point_mass ? (c.id == draft ? 1.0F : 0.0F) : q_law.probability_of(c.id);
    if (c.p > taken) residual.candidates.push_back({c.id, c.logit, c.p - taken});
  }
  return draw(residual.candidates.empty() ? p : residual, u);
}

AcceptResult accept_sampled(std::span<const TokenId> drafts, std::span<const Distribution> q,
                            std::span<const Distribution> p, const Uniform& uniform) {
  if (p.empty())
    throw Error("acceptance got no target distributions: expected one more than drafts");
  const std::size_t n = std::min({drafts.size(), q.size(), p.size() - 1});
  for (std::size_t i = 0; i < n; ++i) {
    require_candidates(p[i], i);
    if (accept_draft(drafts[i], q[i], p[i], uniform())) continue;
    return {.n_accepted = static_cast<int>(i),
            .next = draw_residual(drafts[i], q[i], p[i], uniform())};
  }
  require_candidates(p[n], n);
  return {.n_accepted = static_cast<int>(n), .next = draw(p[n], uniform())};
}

}  // namespace foretoken::sampling
