// What the worker tells the world: the status board and the log.
#include <fmt/format.h>

#include <algorithm>

#include "scheduler/log_lines.h"
#include "scheduler/worker.h"

namespace foretoken::scheduler {
namespace {

/// Between two lines about one running request.
constexpr double kLineSeconds = 3.0;

}  // namespace

void Worker::say(const Slot& slot, const std::string& text) const {
  if (!options_.log) return;
  options_.log(LogLevel::Info,
               fmt::format("slot {:2d} | task {} | {}", slot.info.id, slot.info.request, text));
}

void Worker::publish() {
  const cache::PrefixCacheStats stats = store_.stats();
  board_.update([&](StatusBoard::Content& content) {
    Metrics& metrics = content.metrics;
    metrics.requests_processing = 0;
    for (Slot& slot : slots_) {
      slot.info.is_processing = false;
      slot.info.has_next_token = false;
      if (slot.sequence) {
        slot.sequence->describe(slot.info);
        add_difference(metrics, slot.reported, slot.sequence->timings());
        slot.reported = slot.sequence->timings();
        metrics.requests_processing += slot.info.is_processing ? 1 : 0;
        metrics.n_tokens_max = std::max(
            metrics.n_tokens_max, static_cast<std::uint64_t>(slot.sequence->session().n_past()));
      }
    }
    content.slots.resize(slots_.size());
    for (std::size_t i = 0; i < slots_.size(); ++i) content.slots[i] = slots_[i].info;
    metrics.checkpoint_bytes = stats.bytes;
    metrics.n_checkpoints = stats.n_checkpoints;
    metrics.prefix_hits = stats.hits;
    publish_speculation(content);
    metrics.draft_parked = content.speculation.parked;
  });
}

void Worker::publish_speculation(StatusBoard::Content& content) const {
  SpeculationState& out = content.speculation;
  if (!model_) return;
  const bool drafts = model_->drafter() != nullptr;
  out.kind = drafts ? "draft-mtp" : "none";
  out.n_max = drafts ? options_.speculation.limits.n_max : 0;
  out.n_min = options_.speculation.limits.n_min;
  out.p_min = options_.speculation.limits.p_min;
  out.adaptive = options_.speculation.adaptive;
  out.mtp_present = model_->engine().mtp_head() != nullptr;
  // Of the replies under way; what the last one showed stays until the next.
  int n_drafting = 0;
  int n_parked = 0;
  double speedup = 0.0;
  for (const Slot& slot : slots_) {
    if (!slot.sequence || slot.sequence->phase() != Sequence::Phase::Decode) continue;
    if (!slot.sequence->generator().drafts()) continue;
    ++n_drafting;
    n_parked += slot.sequence->generator().policy().parked() ? 1 : 0;
    speedup += slot.sequence->generator().policy().expected_speedup();
  }
  if (n_drafting > 0) {
    out.parked = n_parked == n_drafting;
    out.parked_reason = out.parked ? "drafting does not pay at present" : "";
    out.expected_speedup = speedup / n_drafting;
  }
  out.acceptance_at.clear();
  for (std::size_t i = 0; i < content.metrics.drafted_at.size(); ++i) {
    const auto drafted = content.metrics.drafted_at[i];
    if (drafted == 0) break;
    out.acceptance_at.push_back(static_cast<double>(content.metrics.accepted_at[i]) /
                                static_cast<double>(drafted));
  }
  out.verify_seconds_width.clear();
  const int widest = std::min(options_.n_slots * engine::kMaxVerifyWidth, engine::kMaxPassWidth);
  for (int width = 1; width <= widest; ++width) {
    out.verify_seconds_width.push_back(model_->costs()->measured_seconds(width));
  }
  out.draft_step_seconds = model_->costs()->draft_seconds();
}

void Worker::log_start(const Slot& slot, const PrefixMatch& match) const {
  const std::size_t n_prompt = slot.sequence->request().prompt.size();
  if (match.checkpoint) {
    say(slot, fmt::format("restored context checkpoint, n_tokens = {}, common = {}, prompt = {}",
                          match.checkpoint->tokens.size(), match.n_common, n_prompt));
  } else if (match.miss == "no_checkpoint") {
    say(slot, fmt::format("forcing full prompt re-processing: {} of {} tokens are known, but no "
                          "state was kept within them",
                          match.n_common, n_prompt));
  }
}

void Worker::log_end(const Slot& slot) const {
  const Timings& timings = slot.sequence->timings();
  say(slot, prompt_time_line(timings));
  say(slot, eval_time_line(timings));
  say(slot, total_time_line(timings));
  if (timings.draft_n == 0) return;
  say(slot, draft_line(timings));
  say(slot, positions_line(timings));
}

void Worker::log_progress(Slot& slot) const {
  const auto now = Clock::now();
  const double since = std::chrono::duration<double>(now - slot.last_line).count();
  if (since < kLineSeconds) return;
  const Sequence& sequence = *slot.sequence;
  const Timings& timings = sequence.timings();
  if (sequence.phase() == Sequence::Phase::Prompt) {
    const double seconds = timings.prompt_ms / 1e3;
    const int n_total = static_cast<int>(sequence.request().prompt.size());
    const int n_done = timings.cache_n + timings.prompt_n;
    say(slot, prompt_progress_line(timings.prompt_n, static_cast<double>(n_done) / n_total, seconds,
                                   timings.prompt_n / std::max(seconds, 1e-9)));
  } else {
    const double seconds = timings.predicted_ms / 1e3;
    say(slot,
        progress_line(timings.predicted_n, (timings.predicted_n - 1) / std::max(seconds, 1e-9),
                      (timings.predicted_n - slot.n_at_last_line) / since));
    slot.n_at_last_line = timings.predicted_n;
  }
  slot.last_line = now;
}

}  // namespace foretoken::scheduler
