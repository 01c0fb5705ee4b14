#include "eval/text_windows.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace foretoken::eval {
namespace {

constexpr int kShortestWindow = 4;

void score_window(engine::Session& session, std::span<const TokenId> window,
                  std::size_t first_scored, const ScoreToken& score) {
  session.rewind(0);
  // The logits before a token are those of the token in front of it; no others are computed.
  session.prefill(window.first(first_scored - 1));
  session.prefill_with_logits(
      window.subspan(first_scored - 1), [&](int first_pos, int n, std::span<const float> logits) {
        const std::size_t n_vocab = logits.size() / static_cast<std::size_t>(n);
        for (std::size_t row = 0; row < static_cast<std::size_t>(n); ++row) {
          const std::size_t next = static_cast<std::size_t>(first_pos) + row + 1;
          if (next < window.size()) score(logits.subspan(row * n_vocab, n_vocab), window[next]);
        }
      });
}

}  // namespace

WindowPlan plan_windows(std::size_t n_tokens, int n_context) {
  if (n_tokens < 2) {
    throw RequestError(fmt::format(
        "the text has {} tokens; scoring needs at least two, so give a longer text", n_tokens));
  }
  if (n_context < kShortestWindow) {
    throw RequestError(fmt::format("windows of {} tokens are too short to score; use -c {} or more",
                                   n_context, kShortestWindow));
  }
  const auto window = static_cast<std::size_t>(n_context);
  if (n_tokens < 2 * window) return {std::min(n_tokens, window), 1, 1};
  return {window, window / 2 + 1, static_cast<int>(n_tokens / window)};
}

void score_windows(engine::Session& session, std::span<const TokenId> tokens,
                   const WindowPlan& plan, const ScoreToken& score, const WindowDone& done) {
  for (int i = 0; i < plan.n_windows; ++i) {
    score_window(session, tokens.subspan(static_cast<std::size_t>(i) * plan.window, plan.window),
                 plan.first_scored, score);
    if (done && !done(i + 1)) throw Cancelled("stopped while scoring a text");
  }
}

}  // namespace foretoken::eval
