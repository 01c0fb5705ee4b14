#include "engine/cost_table.h"

#include <algorithm>
#include <cmath>

namespace foretoken::engine {
namespace {

constexpr double kNewestShare = 0.1;
/// Once an average has settled, one sample counts as at most this many times the average, so that a
/// pause of the system does not pass for the cost of drafting.
constexpr double kLargestJump = 2.0;
constexpr int kSettled = 4;
/// Rounds after which a width's cost is forgotten.
constexpr int kExpiry = 1024;
/// Guess for columns never measured, as shares of a plain step.
constexpr double kColumnShare = 0.03;
constexpr double kDraftShare = 0.05;

bool is_time(double seconds) { return std::isfinite(seconds) && seconds > 0.0; }

}  // namespace

void CostTable::Average::add(double sample, int round) {
  if (count >= kSettled) sample = std::min(sample, kLargestJump * seconds);
  count = std::min(count + 1, 1 << 20);
  seconds += std::max(1.0 / count, kNewestShare) * (sample - seconds);
  last_round = round;
}

void CostTable::observe_verify(int width, double seconds) {
  ++round_;
  if (width < 1 || width > kMaxVerifyWidth || !is_time(seconds)) return;
  Average& average = verify_[static_cast<std::size_t>(width)];
  if (width > 1 && !is_fresh(width)) average = {};
  average.add(seconds, round_);
}

void CostTable::observe_draft(int n_steps, double seconds) {
  if (n_steps > 0 && is_time(seconds)) draft_.add(seconds / n_steps, round_);
}

bool CostTable::is_fresh(int width) const {
  const Average& average = verify_[static_cast<std::size_t>(width)];
  return average.count > 0 && (width == 1 || round_ - average.last_round <= kExpiry);
}

double CostTable::verify_seconds(int width) const {
  width = std::clamp(width, 1, kMaxVerifyWidth);
  int below = width;
  while (below > 1 && !is_fresh(below)) --below;
  const double below_seconds = verify_[static_cast<std::size_t>(below)].seconds;
  if (below == width) return below_seconds;
  const double guess = below_seconds + kColumnShare * plain_seconds() * (width - below);
  for (int above = width + 1; above <= kMaxVerifyWidth; ++above) {
    if (!is_fresh(above)) continue;
    const double above_seconds = verify_[static_cast<std::size_t>(above)].seconds;
    const double share = static_cast<double>(width - below) / (above - below);
    return below_seconds + share * (above_seconds - below_seconds);
  }
  return guess;
}

double CostTable::draft_seconds() const {
  return draft_.count > 0 ? draft_.seconds : kDraftShare * plain_seconds();
}

}  // namespace foretoken::engine
