#include "scheduler/options.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"

namespace foretoken::scheduler {
namespace {

void require_range(const char* name, int value, int least, int most) {
  if (value >= least && value <= most) return;
  throw RequestError(
      fmt::format("{} {} is out of range: expected {} to {}", name, value, least, most));
}

}  // namespace

void validate(const SchedulerOptions& options) {
  require_range("number of slots", options.n_slots, 1, kMaxSlots);
  require_range("context per slot", options.n_context, 2, 1 << 20);
  require_range("batch size", options.n_batch, 1, 1 << 15);
  require_range("queue bound", options.max_queue, 0, 1 << 20);
  require_range("column budget", options.column_budget, 1, engine::kMaxPassWidth);
  require_range("checkpoint spacing", options.checkpoint_step, 1, 1 << 20);
  engine::validate(options.speculation.limits);
  if (!(options.target_inter_token_ms > 0.0) || !std::isfinite(options.target_inter_token_ms)) {
    throw RequestError(
        fmt::format("target inter-token time {} ms is out of range: expected above 0",
                    options.target_inter_token_ms));
  }
}

}  // namespace foretoken::scheduler
