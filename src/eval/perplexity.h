// Perplexity of a text: how surprised the model is by each next token.
//   perplexity = exp( - 1/N sum log p(x_t | x_<t) )
// Which tokens count is told in text_windows.h.
#pragma once

#include <functional>
#include <span>

#include "base/token.h"
#include "engine/session.h"

namespace foretoken::eval {

struct Perplexity {
  double value = 0.0;           ///< exp of the mean negative log-likelihood
  double standard_error = 0.0;  ///< of `value`
  std::size_t n_scored = 0;     ///< tokens scored
  int n_windows = 0;
};

/// Log-probability of `token` under logits [n_vocab], in double.
double log_probability(std::span<const float> logits, TokenId token);

/// Running sums behind a perplexity.
class PerplexitySums {
 public:
  void add(double log_p);
  Perplexity result(int n_windows) const;

 private:
  double nll_ = 0.0;
  double nll_squared_ = 0.0;
  std::size_t n_ = 0;
};

/// Called after each window with (windows done, windows in all, result so far); false stops.
using PerplexityProgress = std::function<bool(int, int, const Perplexity&)>;

/// Scores `tokens` in windows of session.n_context(). Throws RequestError for fewer than two tokens
/// or windows too short, Cancelled when `progress` says so.
Perplexity measure_perplexity(engine::Session& session, std::span<const TokenId> tokens,
                              const PerplexityProgress& progress = {});

}  // namespace foretoken::eval
