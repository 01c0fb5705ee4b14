// The sum runs over all logits in double; terms that cannot reach its last digit are skipped.
#include "sampling/log_probabilities.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sampling/select.h"

namespace foretoken::sampling {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest();
/// A quarter of a million terms below e^-50 add less than 2^-53 of the sum.
constexpr float kNegligible = 50.0F;

/// log(sum(exp(x))), minus infinity when there is no usable logit.
double log_sum_exp(std::span<const float> logits, float largest) {
  double sum = 0.0;
  for (const float x : logits) {
    if (x > largest - kNegligible)
      sum += static_cast<double>(std::exp(std::min(x, largest) - largest));
  }
  return static_cast<double>(largest) + std::log(sum);
}

float finite(double logprob) {
  return std::isfinite(logprob) ? std::max(static_cast<float>(logprob), kLowest) : kLowest;
}

}  // namespace

Logprobs model_logprobs(std::span<const float> logits, TokenId chosen, int n_top) {
  const std::vector<Candidate> best = select_top_k(logits, {}, std::max(n_top, 1));
  Logprobs out{.chosen = kLowest, .top = {}};
  if (best.empty()) return out;
  const double total = log_sum_exp(logits, best.front().logit);
  const auto logprob = [&](float logit) { return finite(static_cast<double>(logit) - total); };
  if (chosen >= 0 && static_cast<std::size_t>(chosen) < logits.size()) {
    out.chosen = logprob(
        std::min(logits[static_cast<std::size_t>(chosen)], std::numeric_limits<float>::max()));
  }
  for (const Candidate& c : best) {
    if (static_cast<int>(out.top.size()) < n_top) out.top.push_back({c.id, logprob(c.logit)});
  }
  return out;
}

Logprobs law_logprobs(const Distribution& law, TokenId chosen, int n_top) {
  const auto logprob = [](float p) { return finite(std::log(static_cast<double>(p))); };
  Logprobs out{.chosen = logprob(law.probability_of(chosen)), .top = {}};
  for (const Candidate& c : law.candidates) {
    if (static_cast<int>(out.top.size()) >= n_top) break;
    out.top.push_back({c.id, logprob(c.p)});
  }
  return out;
}

}  // namespace foretoken::sampling
