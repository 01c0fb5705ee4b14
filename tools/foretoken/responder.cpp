// Times as docs/benchmarking.md defines them: the prompt's time ends with the first token.
#include "responder.h"

#include <fmt/format.h>

#include <chrono>

#include "base/error.h"
#include "progress_bar.h"

namespace foretoken::tools {
namespace {

using std::chrono::steady_clock;

double seconds_between(steady_clock::time_point from, steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string rate(int n, double seconds) {
  if (n <= 0 || seconds <= 0.0) return {};
  const double value = n / seconds;
  return fmt::format(", {:.{}f} t/s", value, value < 1000.0 ? 1 : 0);
}

std::string describe_drafts(const engine::GenerateStats& stats) {
  if (stats.drafted == 0) return {};
  return fmt::format(" | drafted {}, accepted {} ({:.0f} %), mean length {:.2f}", stats.drafted,
                     stats.accepted, 100.0 * stats.accepted / stats.drafted,
                     stats.mean_accepted_length());
}

}  // namespace

void ReplyReport::add(const ReplyReport& other) {
  n_reused += other.n_reused;
  n_read += other.n_read;
  prompt_seconds += other.prompt_seconds;
  answer_seconds += other.answer_seconds;
  stats.add(other.stats);
  if (!other.synthetic_warning.empty()) synthetic_warning = other.synthetic_warning;
}

std::string describe(const ReplyReport& report) {
  std::string out = "[ prompt ";
  if (report.n_read == 0) {
    out += fmt::format("{} tokens, all reused", report.n_reused);
  } else if (report.n_reused == 0) {
    out += fmt::format("{} tokens", report.n_read);
  } else {
    out += fmt::format("{} of {} tokens", report.n_read, report.n_read + report.n_reused);
  }
  out += rate(report.n_read, report.prompt_seconds);
  out += fmt::format(" | answer {} tokens{}", report.stats.n_tokens,
                     rate(report.stats.n_tokens - 1, report.answer_seconds));
  out += describe_drafts(report.stats);
  out += " ]";
  if (!report.synthetic_warning.empty()) out += "\nwarning: " + report.synthetic_warning;
  return out;
}

Responder::Responder(engine::Session& session, const sampling::SamplingParams& sampling,
                     const engine::SpeculationOptions& speculation)
    : session_(session), generator_(session, sampling, speculation) {
  if (speculation.synthetic) synthetic_warning_ = speculation.synthetic->description();
}

bool Responder::read_prompt(std::span<const TokenId> prompt, ReplyReport& report,
                            const InterruptScope& interrupt) {
  ProgressBar bar("reading");
  const engine::Session::SyncResult result = session_.sync(prompt, [&](int done, int total) {
    bar.update(static_cast<std::size_t>(done), static_cast<std::size_t>(total), "tokens");
    return !interrupt.interrupted();
  });
  // A second call over a longer part of the same prompt reuses what the first one read.
  report.n_read += result.n_processed;
  return result.complete;
}

ReplyReport Responder::respond(std::span<const TokenId> prompt, std::size_t keep,
                               const engine::GenerateOptions& options,
                               const InterruptScope& interrupt,
                               const std::function<void(TokenId)>& on_token) {
  if (prompt.empty()) throw RequestError("the prompt is empty; give some text");
  if (prompt.size() >= static_cast<std::size_t>(session_.n_context())) {
    throw RequestError(
        fmt::format("the prompt has {} tokens and the context holds {}: no room is left for an "
                    "answer; shorten it or give a larger context with -c",
                    prompt.size(), session_.n_context()));
  }
  ReplyReport report;
  report.synthetic_warning = synthetic_warning_;
  const auto start = steady_clock::now();
  report.prompt_complete = (keep == 0 || read_prompt(prompt.first(keep), report, interrupt)) &&
                           read_prompt(prompt, report, interrupt);
  auto first = steady_clock::now();
  if (report.prompt_complete) {
    report.n_reused = static_cast<int>(prompt.size()) - report.n_read;
    generator_.observe_prompt();
    bool started = false;
    engine::GenerateResult result = generator_.generate(options, [&](TokenId token) {
      if (!started) first = steady_clock::now();
      started = true;
      on_token(token);
      return !interrupt.interrupted();
    });
    if (!started) first = steady_clock::now();
    report.stats = result.stats;
    report.reason = result.reason;
  } else {
    report.reason = engine::StopReason::Cancelled;
  }
  report.prompt_seconds = seconds_between(start, first);
  report.answer_seconds = seconds_between(first, steady_clock::now());
  return report;
}

}  // namespace foretoken::tools
