// See adaptive_p.h.
#include "sampling/adaptive_p.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace foretoken::sampling {
namespace {

constexpr double kWidth = 0.3;
constexpr double kPeak = 5.0;
constexpr double kSharpness = 10.0;

}  // namespace

AdaptiveP::AdaptiveP(const SamplingParams& params)
    : target_(static_cast<double>(params.adaptive_target)),
      decay_(static_cast<double>(params.adaptive_decay)),
      means_{{target_ / (1.0 - decay_), 1.0 / (1.0 - decay_)}} {}

double AdaptiveP::target() const {
  const Mean& mean = means_.back();
  return std::clamp(2.0 * target_ - mean.sum / mean.weight, 0.0, 1.0);
}

Distribution AdaptiveP::law(Distribution p) {
  pending_ = std::move(p);
  Distribution out = pending_;
  const double aim = target();
  double sum = 0.0;
  for (Candidate& c : out.candidates) {
    const double d = std::abs(static_cast<double>(c.p) - aim) / kWidth;
    const double weight = std::exp(kPeak - kSharpness * d * d / (1.0 + d));
    sum += weight;
    c.p = static_cast<float>(weight);
  }
  for (Candidate& c : out.candidates) c.p = static_cast<float>(static_cast<double>(c.p) / sum);
  sort_by_probability(out);
  return out;
}

void AdaptiveP::accept(TokenId id) {
  Mean mean = means_.back();
  const auto p = static_cast<double>(pending_.probability_of(id));
  if (p > 0.0) mean = {p + decay_ * mean.sum, 1.0 + decay_ * mean.weight};
  means_.push_back(mean);
  pending_.candidates.clear();
}

void AdaptiveP::rollback(int n) {
  if (n <= 0) return;
  means_.resize(means_.size() - std::min(means_.size() - 1, static_cast<std::size_t>(n)));
  pending_.candidates.clear();
}

}  // namespace foretoken::sampling
