#include "scheduler/status_board.h"

#include <utility>

namespace foretoken::scheduler {
namespace {

/// A minute of four busy slots; beyond that nobody is reading.
constexpr std::size_t kMostRecent = 8192;

std::uint64_t rise(int before, int now) { return static_cast<std::uint64_t>(now - before); }

}  // namespace

StatusBoard::StatusBoard(std::vector<SlotInfo> slots) { content_.slots = std::move(slots); }

void StatusBoard::update(const std::function<void(Content&)>& change) {
  const std::lock_guard lock(mutex_);
  change(content_);
}

std::vector<SlotInfo> StatusBoard::slots() const {
  const std::lock_guard lock(mutex_);
  return content_.slots;
}

SpeculationState StatusBoard::speculation() const {
  const std::lock_guard lock(mutex_);
  return content_.speculation;
}

bool StatusBoard::is_sleeping() const {
  const std::lock_guard lock(mutex_);
  return content_.is_sleeping;
}

Metrics StatusBoard::take_metrics() {
  const std::lock_guard lock(mutex_);
  Metrics out = content_.metrics;
  content_.metrics.recent_ttft_seconds.clear();
  content_.metrics.recent_inter_token_seconds.clear();
  return out;
}

void record(std::vector<double>& recent, double seconds, int n) {
  for (int i = 0; i < n && recent.size() < kMostRecent; ++i) recent.push_back(seconds);
}

void add_difference(Metrics& metrics, const Timings& before, const Timings& now) {
  metrics.prompt_tokens += rise(before.prompt_n, now.prompt_n);
  metrics.prompt_tokens_cached += rise(before.cache_n, now.cache_n);
  metrics.prompt_seconds += (now.prompt_ms - before.prompt_ms) / 1e3;
  metrics.predicted_tokens += rise(before.predicted_n, now.predicted_n);
  metrics.predicted_seconds += (now.predicted_ms - before.predicted_ms) / 1e3;
  metrics.draft_tokens += rise(before.draft_n, now.draft_n);
  metrics.draft_accepted += rise(before.draft_n_accepted, now.draft_n_accepted);
  metrics.draft_rounds += rise(before.draft_rounds, now.draft_rounds);
  for (std::size_t i = 0; i < now.drafted_at.size(); ++i) {
    metrics.drafted_at[i] += rise(before.drafted_at[i], now.drafted_at[i]);
    metrics.accepted_at[i] += rise(before.accepted_at[i], now.accepted_at[i]);
  }
  metrics.draft_seconds += (now.draft_ms - before.draft_ms) / 1e3;
  metrics.verify_seconds += (now.verify_ms - before.verify_ms) / 1e3;
}

}  // namespace foretoken::scheduler
