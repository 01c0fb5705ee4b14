// Cutting a text into windows and scoring the next token at each of its places: what perplexity and
// KL divergence have in common.
//
// In each window only the second half is scored, so that every scored token has at least half a
// window before it. A text shorter than two windows is one window, scored from its second token on.
// Source: the protocol of llama.cpp's llama-perplexity (tools/perplexity), so that figures compare.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "base/token.h"
#include "engine/session.h"

namespace foretoken::eval {

struct WindowPlan {
  std::size_t window = 0;        ///< tokens of a window
  std::size_t first_scored = 0;  ///< index in a window of the first token that counts, >= 1
  int n_windows = 0;

  /// Tokens scored in each window.
  std::size_t n_scored_each() const { return window - first_scored; }
  std::size_t n_scored() const { return n_scored_each() * static_cast<std::size_t>(n_windows); }
};

/// The plan for a text of `n_tokens` in windows of `n_context`. Throws RequestError for fewer than
/// two tokens and for windows of fewer than four, in which nothing would be scored well.
WindowPlan plan_windows(std::size_t n_tokens, int n_context);

/// Called for every scored token, in order: the logits [n_vocab] before it, and the token.
using ScoreToken = std::function<void(std::span<const float> logits, TokenId token)>;
/// Called after each window with its number, 1 .. n_windows; false stops the work.
using WindowDone = std::function<bool(int)>;

/// Runs the windows of `tokens` through the session, each from an empty context. Requires a session
/// with room for a window and at least plan.window * plan.n_windows tokens. Throws Cancelled when
/// `done` says so, RequestError for ids outside the vocabulary.
void score_windows(engine::Session& session, std::span<const TokenId> tokens,
                   const WindowPlan& plan, const ScoreToken& score, const WindowDone& done = {});

}  // namespace foretoken::eval
