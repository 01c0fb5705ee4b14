#include "scheduler/prefill_pacer.h"

#include <algorithm>
#include <cmath>

namespace foretoken::scheduler {
namespace {

/// A stretch below this wastes the reading of the weights that it causes in every layer.
constexpr int kShortestStretch = 8;
/// Before anything was measured: short enough not to be noticed on a slow machine.
constexpr int kFirstStretch = 32;
constexpr double kNewestShare = 0.3;

}  // namespace

PrefillPacer::PrefillPacer(int n_batch, double target_seconds)
    : n_batch_(n_batch), target_seconds_(target_seconds) {}

int PrefillPacer::n_tokens(double decode_seconds) const {
  if (!(decode_seconds > 0.0)) return n_batch_;
  if (token_seconds_ == 0.0) return std::min(kFirstStretch, n_batch_);
  const double seconds = std::max(target_seconds_ - decode_seconds, decode_seconds);
  const double n = std::min(seconds / token_seconds_, static_cast<double>(n_batch_));
  return std::clamp(static_cast<int>(n), std::min(kShortestStretch, n_batch_), n_batch_);
}

void PrefillPacer::observe(int n_tokens, double seconds) {
  if (n_tokens <= 0 || !(seconds > 0.0) || !std::isfinite(seconds)) return;
  const double sample = seconds / n_tokens;
  token_seconds_ =
      token_seconds_ == 0.0 ? sample : token_seconds_ + kNewestShare * (sample - token_seconds_);
}

std::vector<int> share_prefill(std::span<const int> left, int n_tokens) {
  std::vector<int> out;
  for (const int wanted : left) {
    out.push_back(std::clamp(wanted, 0, n_tokens));
    n_tokens -= out.back();
  }
  return out;
}

}  // namespace foretoken::scheduler
