// How far one model's predictions are from another's, over a text: what quantizing cost.
//
//   KLD at a token = sum_i p_i (ln p_i - ln q_i) >= 0      p: the base, q: the one measured
//   delta p = q(x) - p(x) for the token x that really follows
// Which tokens count is told in text_windows.h, how probabilities are rounded in logits_file.h.
// Source: docs/evaluation.md, "KL divergence"; the figures of llama-perplexity --kl-divergence.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/token.h"
#include "engine/session.h"
#include "eval/logits_file.h"
#include "eval/perplexity.h"

namespace foretoken::eval {

/// A figure and its standard error.
struct Estimate {
  double value = 0.0;
  double standard_error = 0.0;
};

struct KlDivergence {
  std::size_t n_scored = 0;
  Perplexity base;
  Perplexity measured;
  Estimate log_ratio;  ///< ln(measured / base), tokens paired
  Estimate ratio;      ///< measured / base

  Estimate divergence;  ///< mean KLD, nats
  double least = 0.0;
  double median = 0.0;
  double p90 = 0.0;
  double p95 = 0.0;
  double p99 = 0.0;
  double p999 = 0.0;
  double most = 0.0;

  Estimate delta_p;      ///< mean
  Estimate rms_delta_p;  ///< root of the mean square
  Estimate same_top;     ///< share of places with the same most probable token
};

/// One place of the text, both sides rounded.
struct KlPlace {
  double divergence = 0.0;
  double log_p_base = 0.0;
  double log_p_measured = 0.0;
  bool same_top = false;
};

/// Compares two rows of equal length at the token that follows. `scratch` keeps its memory.
KlPlace compare_rows(const RoundedRow& base, const RoundedRow& measured, TokenId next,
                     std::array<std::vector<double>, 2>& scratch);

/// Figures over places; all zero without any.
KlDivergence summarize_places(std::span<const KlPlace> places, int n_windows);

/// Called after each window with (windows done, windows in all); false stops.
using KlProgress = std::function<bool(int, int)>;

/// Runs `tokens` through the session in windows of its context and saves what it thinks of them.
/// Throws as plan_windows and LogitsWriter do, and Cancelled; nothing is left at `path` then.
/// Returns the perplexity on the way.
Perplexity save_logits(engine::Session& session, std::span<const TokenId> tokens,
                       const std::string& path, const KlProgress& progress = {});

/// Runs the tokens of `base` through the session, in its windows. Throws RequestError when the
/// vocabularies differ in size or the session's context is smaller than a window, FormatError when
/// `base` is damaged, Cancelled.
KlDivergence measure_kl_divergence(engine::Session& session, const LogitsFile& base,
                                   const KlProgress& progress = {});

}  // namespace foretoken::eval
