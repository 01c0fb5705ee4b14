// See mirostat.h.
#include "sampling/mirostat.h"

#include <algorithm>
#include <cmath>

namespace foretoken::sampling {
namespace {

/// Tokens the power law is fitted to.
constexpr std::size_t kFitted = 100;

/// Exponent s of p_i ~ i^-s by least squares through the origin over log-ratios of neighbours:
/// sum(t b) / sum(t^2), t_i = log((i + 1) / i), b_i = log(p_i / p_(i+1)).
double fitted_exponent(CandidateList& list, double temperature) {
  list.sort_prefix(kFitted);
  const std::size_t n = std::min(kFitted, list.items.size());
  double tb = 0.0;
  double tt = 0.0;
  for (std::size_t i = 0; i + 1 < n; ++i) {
    const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
    const double b = static_cast<double>(list.items[i].logit - list.items[i + 1].logit);
    tb += t * b / temperature;
    tt += t * t;
  }
  return tb / tt;
}

/// Tokens to keep for a greatest surprise of mu: ((e 2^mu) / (1 - N^-e))^(1/s), e = s - 1.
/// 1 to n_most.
std::size_t n_kept(double s, double mu, double n_vocab, std::size_t n_most) {
  const double e = s - 1.0;
  // e / (1 - N^-e) has the limit 1 / log N at e = 0, where the quotient itself loses its digits.
  const double scale =
      std::abs(e) < 1e-9 ? 1.0 / std::log(n_vocab) : e / -std::expm1(-e * std::log(n_vocab));
  const double k = std::pow(scale * std::exp2(mu), 1.0 / s);
  if (!(k >= 1.0)) return 1;
  return k >= static_cast<double>(n_most) ? n_most : static_cast<std::size_t>(k);
}

}  // namespace

Mirostat::Mirostat(const SamplingParams& params, int n_vocab)
    : version_(params.mirostat),
      tau_(static_cast<double>(params.mirostat_tau)),
      eta_(static_cast<double>(params.mirostat_eta)),
      n_vocab_(std::max(n_vocab, 2)),
      mu_{2.0 * tau_} {}

Distribution Mirostat::law(CandidateList list, float temperature) {
  if (version_ == 1 && list.items.size() > 1) {
    const double s = fitted_exponent(list, static_cast<double>(temperature));
    const std::size_t k = n_kept(s, mu(), n_vocab_, list.items.size());
    list.sort_prefix(k);
    list.items.resize(k);
    list.n_sorted = std::min(list.n_sorted, k);
  } else if (version_ == 2) {
    fill_probabilities(list, temperature);
    list.sort_prefix(1);
    const double least = std::exp2(-mu());
    const Candidate best = list.items.front();
    std::erase_if(list.items, [&](const Candidate& c) {
      return c.id != best.id && static_cast<double>(c.p) < least;
    });
    list.n_sorted = 1;
  }
  pending_ = to_distribution(std::move(list), temperature);
  return pending_;
}

void Mirostat::accept(TokenId id) {
  const auto p = static_cast<double>(pending_.probability_of(id));
  const double surprise = p > 0.0 ? -std::log2(p) : tau_;
  mu_.push_back(mu() - eta_ * (surprise - tau_));
  pending_.candidates.clear();
}

void Mirostat::rollback(int n) {
  if (n <= 0) return;
  mu_.resize(mu_.size() - std::min(mu_.size() - 1, static_cast<std::size_t>(n)));
  pending_.candidates.clear();
}

}  // namespace foretoken::sampling
