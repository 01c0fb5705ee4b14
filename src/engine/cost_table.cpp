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
/// Guess for one sequence more in a draft step, as a share of a step alone: weights are read once,
/// choosing a token is everybody's own.
constexpr double kCompanyShare = 0.25;

double guessed_growth(int n_sessions) { return 1.0 + kCompanyShare * (n_sessions - 1); }

bool is_time(double seconds) { return std::isfinite(seconds) && seconds > 0.0; }

}  // namespace

void CostTable::Average::add(double sample, int round) {
  last_round = round;
  if (count < kSettled) {
    seconds = count == 0 ? sample : std::min(seconds, sample);
    ++count;
  } else {
    seconds += kNewestShare * (std::min(sample, kLargestJump * seconds) - seconds);
  }
}

void CostTable::observe_verify(int width, double seconds) {
  ++round_;
  if (width < 1 || width > kMaxPassWidth || !is_time(seconds)) return;
  Average& average = verify_[static_cast<std::size_t>(width)];
  if (!is_usable(width)) average = {};
  average.add(seconds, round_);
  narrowest_ = narrowest_ == 0 ? width : std::min(narrowest_, width);
  widest_ = std::max(widest_, width);
}

void CostTable::observe_draft(int n_steps, double seconds, int n_sessions) {
  if (n_steps <= 0 || !is_time(seconds) || n_sessions < 1 || n_sessions > kMaxDraftCompany) return;
  draft_[static_cast<std::size_t>(n_sessions)].add(seconds / n_steps, round_);
}

// The narrowest width never expires: the others are guessed from it.
bool CostTable::is_usable(int width) const {
  const Average& average = verify_[static_cast<std::size_t>(width)];
  return average.count > 0 && (width == narrowest_ || round_ - average.last_round <= kExpiry);
}

bool CostTable::knows(int width) const {
  width = std::clamp(width, 1, kMaxPassWidth);
  return narrowest_ > 0 && narrowest_ <= width && width <= widest_;
}

double CostTable::measured_seconds(int width) const {
  if (width < 1 || width > kMaxPassWidth || !is_usable(width)) return 0.0;
  return verify_[static_cast<std::size_t>(width)].seconds;
}

double CostTable::verify_seconds(int width) const {
  if (narrowest_ == 0) return 0.0;
  const double narrowest_seconds = verify_[static_cast<std::size_t>(narrowest_)].seconds;
  const double column = kColumnShare * narrowest_seconds;
  width = std::clamp(width, 1, kMaxPassWidth);
  if (width < narrowest_) {
    return std::max(narrowest_seconds - column * (narrowest_ - width), 0.5 * narrowest_seconds);
  }
  int below = width;
  while (!is_usable(below)) --below;
  const double below_seconds = verify_[static_cast<std::size_t>(below)].seconds;
  if (below == width) return below_seconds;
  for (int above = width + 1; above <= widest_; ++above) {
    if (!is_usable(above)) continue;
    const double above_seconds = verify_[static_cast<std::size_t>(above)].seconds;
    const double share = static_cast<double>(width - below) / (above - below);
    return below_seconds + share * (above_seconds - below_seconds);
  }
  return below_seconds + column * (width - below);
}

const CostTable::Average& CostTable::draft_of(int n_sessions) const {
  return draft_[static_cast<std::size_t>(std::clamp(n_sessions, 1, kMaxDraftCompany))];
}

bool CostTable::knows_draft(int n_sessions) const { return draft_of(n_sessions).count >= kSettled; }

// From the nearest smaller company known, else from the nearest larger one, else from a plain step.
double CostTable::guessed_step(int n_sessions) const {
  const auto from = [&](int known) {
    return draft_of(known).seconds * guessed_growth(n_sessions) / guessed_growth(known);
  };
  for (int n = n_sessions - 1; n >= 1; --n) {
    if (knows_draft(n)) return from(n);
  }
  for (int n = n_sessions + 1; n <= kMaxDraftCompany; ++n) {
    if (knows_draft(n)) return from(n);
  }
  return kDraftShare * verify_seconds(narrowest_) * guessed_growth(n_sessions);
}

double CostTable::draft_seconds(int n_sessions) const {
  n_sessions = std::clamp(n_sessions, 1, kMaxDraftCompany);
  const Average& measured = draft_of(n_sessions);
  if (knows_draft(n_sessions)) return measured.seconds / n_sessions;
  const double guess = guessed_step(n_sessions);
  return (measured.count == 0 ? guess : std::min(measured.seconds, guess)) / n_sessions;
}

}  // namespace foretoken::engine
