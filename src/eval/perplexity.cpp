#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace foretoken::eval {
namespace {

struct Sums {
  double nll = 0.0;
  double nll_squared = 0.0;
  std::size_t n = 0;

  void add(double log_p) {
    nll -= log_p;
    nll_squared += log_p * log_p;
    ++n;
  }

  Perplexity result(int n_windows) const {
    Perplexity out;
    out.n_scored = n;
    out.n_windows = n_windows;
    if (n == 0) return out;
    const double mean = nll / static_cast<double>(n);
    const double variance = std::max(0.0, nll_squared / static_cast<double>(n) - mean * mean);
    out.value = std::exp(mean);
    if (n > 1) out.standard_error = out.value * std::sqrt(variance / static_cast<double>(n - 1));
    return out;
  }
};

// Scores positions first_scored .. of one window.
void score_window(engine::Session& session, std::span<const TokenId> window,
                  std::size_t first_scored, Sums& sums) {
  session.rewind(0);
  session.prefill_with_logits(window, [&](int first_pos, int n, std::span<const float> logits) {
    const std::size_t n_vocab = logits.size() / static_cast<std::size_t>(n);
    for (std::size_t row = 0; row < static_cast<std::size_t>(n); ++row) {
      const std::size_t next = static_cast<std::size_t>(first_pos) + row + 1;
      if (next < first_scored || next >= window.size()) continue;
      sums.add(log_probability(logits.subspan(row * n_vocab, n_vocab), window[next]));
    }
  });
}

}  // namespace

double log_probability(std::span<const float> logits, TokenId token) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float value : logits) sum += std::exp(static_cast<double>(value) - top);
  return static_cast<double>(logits[static_cast<std::size_t>(token)]) - top - std::log(sum);
}

Perplexity measure_perplexity(engine::Session& session, std::span<const TokenId> tokens,
                              const PerplexityProgress& progress) {
  if (tokens.size() < 2) {
    throw RequestError("perplexity needs a text of at least two tokens");
  }
  const auto window = static_cast<std::size_t>(session.n_context());
  Sums sums;
  if (tokens.size() < 2 * window) {
    score_window(session, tokens.first(std::min(tokens.size(), window)), 1, sums);
    return sums.result(1);
  }
  const int n_windows = static_cast<int>(tokens.size() / window);
  for (int i = 0; i < n_windows; ++i) {
    score_window(session, tokens.subspan(static_cast<std::size_t>(i) * window, window),
                 window / 2 + 1, sums);
    if (progress) progress(i + 1, n_windows, sums.result(i + 1));
  }
  return sums.result(n_windows);
}

}  // namespace foretoken::eval
