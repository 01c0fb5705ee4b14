// Perplexity of a text: how surprised the model is by each next token.
//   perplexity = exp( - 1/N sum log p(x_t | x_<t) )
// The text is cut into windows of the context's length; in each, only the second half is scored, so
// that every scored token has at least half a window before it.
// Source: the protocol of llama.cpp's llama-perplexity, so that figures compare.
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

/// Called after each window with (windows done, windows in all, result so far).
using PerplexityProgress = std::function<void(int, int, const Perplexity&)>;

/// Log-probability of `token` under logits [n_vocab], in double.
double log_probability(std::span<const float> logits, TokenId token);

/// Scores `tokens` in windows of session.n_context(). A text shorter than two windows is one window
/// of which all but the first token count. Throws RequestError for fewer than two tokens.
Perplexity measure_perplexity(engine::Session& session, std::span<const TokenId> tokens,
                              const PerplexityProgress& progress = {});

}  // namespace foretoken::eval
