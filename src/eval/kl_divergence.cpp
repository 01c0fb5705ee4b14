// Two passes over a text, one now and one earlier, compared place by place.
#include "eval/kl_divergence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/text_windows.h"

namespace foretoken::eval {
namespace {

Estimate estimate(std::span<const KlPlace> places, double (*value)(const KlPlace&)) {
  double sum = 0.0;
  for (const KlPlace& place : places) sum += value(place);
  const auto n = static_cast<double>(places.size());
  Estimate out{sum / n, 0.0};
  if (places.size() < 2) return out;
  double squares = 0.0;  // about the mean: nothing cancels where all values are nearly equal
  for (const KlPlace& place : places) squares += std::pow(value(place) - out.value, 2);
  out.standard_error = std::sqrt(squares / (n - 1.0) / n);
  return out;
}

double delta_p(const KlPlace& place) {
  return std::exp(place.log_p_measured) - std::exp(place.log_p_base);
}

/// Linear between the two values next to it. Requires sorted values, at least one.
double percentile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = at - static_cast<double>(below);
  return (1.0 - part) * sorted[below] + part * sorted[above];
}

void add_percentiles(std::span<const KlPlace> places, KlDivergence& out) {
  std::vector<double> sorted;
  for (const KlPlace& place : places) sorted.push_back(place.divergence);
  std::sort(sorted.begin(), sorted.end());
  out.least = sorted.front();
  out.median = percentile(sorted, 0.5);
  out.p90 = percentile(sorted, 0.9);
  out.p95 = percentile(sorted, 0.95);
  out.p99 = percentile(sorted, 0.99);
  out.p999 = percentile(sorted, 0.999);
  out.most = sorted.back();
}

void add_perplexities(std::span<const KlPlace> places, int n_windows, KlDivergence& out) {
  PerplexitySums base;
  PerplexitySums measured;
  for (const KlPlace& place : places) {
    base.add(place.log_p_base);
    measured.add(place.log_p_measured);
  }
  out.base = base.result(n_windows);
  out.measured = measured.result(n_windows);
  // The same tokens on both sides: the mean of the differences has the smaller, right error.
  out.log_ratio =
      estimate(places, [](const KlPlace& p) { return p.log_p_base - p.log_p_measured; });
  out.ratio.value = std::exp(out.log_ratio.value);
  out.ratio.standard_error = out.ratio.value * out.log_ratio.standard_error;
}

LogitsHeader header_for(const WindowPlan& plan, int n_vocab) {
  return {.n_vocab = static_cast<std::uint32_t>(n_vocab),
          .window = static_cast<std::uint32_t>(plan.window),
          .first_scored = static_cast<std::uint32_t>(plan.first_scored),
          .n_windows = static_cast<std::uint32_t>(plan.n_windows)};
}

}  // namespace

KlPlace compare_rows(const RoundedRow& base, const RoundedRow& measured, TokenId next,
                     std::array<std::vector<double>, 2>& scratch) {
  auto& [p, q] = scratch;
  base.decode(p);
  measured.decode(q);
  KlPlace out;
  std::size_t top_p = 0;
  std::size_t top_q = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    out.divergence += std::exp(p[i]) * (p[i] - q[i]);
    if (p[i] > p[top_p]) top_p = i;
    if (q[i] > q[top_q]) top_q = i;
  }
  // Never negative in mathematics; a sum of 10^5 rounded terms can be, by 1e-13.
  out.divergence = std::max(0.0, out.divergence);
  out.log_p_base = p[static_cast<std::size_t>(next)];
  out.log_p_measured = q[static_cast<std::size_t>(next)];
  out.same_top = top_p == top_q;
  return out;
}

KlDivergence summarize_places(std::span<const KlPlace> places, int n_windows) {
  KlDivergence out;
  out.n_scored = places.size();
  if (places.empty()) return out;
  add_perplexities(places, n_windows, out);
  out.divergence = estimate(places, [](const KlPlace& p) { return p.divergence; });
  add_percentiles(places, out);
  out.delta_p = estimate(places, delta_p);
  const Estimate square =
      estimate(places, [](const KlPlace& p) { return std::pow(delta_p(p), 2); });
  out.rms_delta_p.value = std::sqrt(square.value);
  if (square.value > 0.0) {  // by the derivative of the root
    out.rms_delta_p.standard_error = square.standard_error / (2.0 * out.rms_delta_p.value);
  }
  out.same_top = estimate(places, [](const KlPlace& p) { return p.same_top ? 1.0 : 0.0; });
  return out;
}

Perplexity save_logits(engine::Session& session, std::span<const TokenId> tokens,
                       const std::string& path, const KlProgress& progress) {
  const WindowPlan plan = plan_windows(tokens.size(), session.n_context());
  const std::size_t n_used = plan.window * static_cast<std::size_t>(plan.n_windows);
  LogitsWriter writer(path, header_for(plan, session.engine().config().n_vocab),
                      tokens.first(n_used));
  PerplexitySums sums;
  score_windows(
      session, tokens, plan,
      [&](std::span<const float> logits, TokenId next) {
        writer.write(logits);
        sums.add(log_probability(logits, next));
      },
      [&](int done) { return !progress || progress(done, plan.n_windows); });
  writer.finish();
  return sums.result(plan.n_windows);
}

KlDivergence measure_kl_divergence(engine::Session& session, const LogitsFile& base,
                                   const KlProgress& progress) {
  const LogitsHeader& header = base.header();
  const int n_vocab = session.engine().config().n_vocab;
  if (header.n_vocab != static_cast<std::uint32_t>(n_vocab)) {
    throw RequestError(
        fmt::format("the saved logits are over {} tokens, but the model has {}; compare files of "
                    "the same model",
                    header.n_vocab, n_vocab));
  }
  const WindowPlan plan{header.window, header.first_scored, static_cast<int>(header.n_windows)};
  std::vector<KlPlace> places;
  RoundedRow saved;
  RoundedRow now;
  std::array<std::vector<double>, 2> scratch;
  score_windows(
      session, base.tokens(), plan,
      [&](std::span<const float> logits, TokenId next) {
        base.read_row(places.size(), saved);
        now.assign(logits);
        places.push_back(compare_rows(saved, now, next, scratch));
      },
      [&](int done) { return !progress || progress(done, plan.n_windows); });
  return summarize_places(places, plan.n_windows);
}

}  // namespace foretoken::eval
