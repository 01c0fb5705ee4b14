#include "scheduler/log_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace foretoken::scheduler {
namespace {

// n_timed: how many of the n tokens the time went into.
std::string time_line(const char* name, double ms, int n, int n_timed) {
  const double per_token = n_timed > 0 ? ms / n_timed : 0.0;
  const double per_second = ms > 0.0 ? 1e3 * n_timed / ms : 0.0;
  return fmt::format(
      "{} = {:10.2f} ms / {:5d} tokens ({:8.2f} ms per token, {:8.2f} tokens per second)", name, ms,
      n, per_token, per_second);
}

}  // namespace

std::string prompt_time_line(const Timings& timings) {
  return time_line("prompt eval time", timings.prompt_ms, timings.prompt_n, timings.prompt_n);
}

std::string eval_time_line(const Timings& timings) {
  return time_line("eval time", timings.predicted_ms, timings.predicted_n,
                   std::max(timings.predicted_n - 1, 0));
}

std::string total_time_line(const Timings& timings) {
  return fmt::format("total time = {:10.2f} ms / {:5d} tokens",
                     timings.prompt_ms + timings.predicted_ms,
                     timings.prompt_n + timings.predicted_n);
}

std::string draft_line(const Timings& timings) {
  const double share = static_cast<double>(timings.draft_n_accepted) / timings.draft_n;
  const double rounds = timings.draft_rounds > 0 ? timings.draft_rounds : 1;
  return fmt::format(
      "draft acceptance = {:.5f} ({:5d} accepted / {:5d} generated), mean len = {:5.2f}", share,
      timings.draft_n_accepted, timings.draft_n, 1.0 + timings.draft_n_accepted / rounds);
}

std::string positions_line(const Timings& timings) {
  const double rounds = timings.draft_rounds > 0 ? timings.draft_rounds : 1;
  std::string list;
  for (std::size_t i = 0; i < timings.drafted_at.size() && timings.drafted_at[i] > 0; ++i) {
    list += fmt::format("{}{:.3f}", list.empty() ? "" : ", ", timings.accepted_at[i] / rounds);
  }
  return fmt::format("acc per pos = ({})", list);
}

std::string progress_line(int n_generated, double rate, double recent_rate) {
  return fmt::format("n_gen = {:6d}, tg = {:6.2f} t/s, tg_3s = {:6.2f} t/s", n_generated, rate,
                     recent_rate);
}

std::string prompt_progress_line(int n_processed, double progress, double seconds, double rate) {
  return fmt::format(
      "prompt processing, n_tokens = {:6d}, progress = {:.2f}, t = {:6.2f} s / {:.2f} tokens per "
      "second",
      n_processed, progress, seconds, rate);
}

}  // namespace foretoken::scheduler
