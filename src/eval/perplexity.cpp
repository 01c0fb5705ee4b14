#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "eval/text_windows.h"

namespace foretoken::eval {

void PerplexitySums::add(double log_p) {
  nll_ -= log_p;
  nll_squared_ += log_p * log_p;
  ++n_;
}

Perplexity PerplexitySums::result(int n_windows) const {
  Perplexity out;
  out.n_scored = n_;
  out.n_windows = n_windows;
  if (n_ == 0) return out;
  const double mean = nll_ / static_cast<double>(n_);
  const double variance = std::max(0.0, nll_squared_ / static_cast<double>(n_) - mean * mean);
  out.value = std::exp(mean);
  if (n_ > 1) out.standard_error = out.value * std::sqrt(variance / static_cast<double>(n_ - 1));
  return out;
}

double log_probability(std::span<const float> logits, TokenId token) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float value : logits) sum += std::exp(static_cast<double>(value) - top);
  return static_cast<double>(logits[static_cast<std::size_t>(token)]) - top - std::log(sum);
}

Perplexity measure_perplexity(engine::Session& session, std::span<const TokenId> tokens,
                              const PerplexityProgress& progress) {
  const WindowPlan plan = plan_windows(tokens.size(), session.n_context());
  PerplexitySums sums;
  score_windows(
      session, tokens, plan,
      [&](std::span<const float> logits, TokenId token) {
        sums.add(log_probability(logits, token));
      },
      [&](int done) { return !progress || progress(done, plan.n_windows, sums.result(done)); });
  return sums.result(plan.n_windows);
}

}  // namespace foretoken::eval
