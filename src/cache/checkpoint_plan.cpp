// Borders, points inside long messages, then a thinning when there are too many.
#include "cache/checkpoint_plan.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace foretoken::cache {
namespace {

// Points of a message [begin, end) at min_step, 2 min_step, ... before its end, ascending.
void add_inside(int begin, int end, int min_step, std::vector<int>& points) {
  if (min_step < 1) return;
  const std::size_t first = points.size();
  for (std::int64_t back = min_step; back < end - begin; back *= 2) {
    points.push_back(end - static_cast<int>(back));
  }
  std::reverse(points.begin() + static_cast<std::ptrdiff_t>(first), points.end());
}

// Keeps kMostPlanned of the points: the first, the last half, and between them those whose
// distances, counted in points from the kept half backwards, grow like a geometric series.
void thin(std::vector<int>& points) {
  constexpr std::size_t kLast = kMostPlanned / 2;
  constexpr std::size_t kBetween = kMostPlanned - kLast - 1;
  const std::size_t n_between = points.size() - kLast - 1;  // candidates at indices 1 .. n_between
  // The series 1, r, r^2, ... with kBetween terms reaches back to the first candidate.
  const double ratio = std::pow(static_cast<double>(n_between), 1.0 / (kBetween - 1));
  std::vector<int> kept = {points.front()};
  double back = 1.0;
  std::size_t last_back = 0;
  for (std::size_t i = 0; i < kBetween; ++i, back *= ratio) {
    // At least one further than the one before, where the series is flatter than that.
    const auto wanted = static_cast<std::size_t>(std::llround(back));
    const std::size_t at = std::min(std::max(wanted, last_back + 1), n_between);
    if (at == last_back) break;
    kept.push_back(points[n_between + 1 - at]);
    last_back = at;
  }
  std::reverse(kept.begin() + 1, kept.end());
  kept.insert(kept.end(), points.end() - kLast, points.end());
  points = std::move(kept);
}

}  // namespace

std::vector<int> plan_checkpoints(std::span<const TokenId> prompt, TokenId turn_start, int n_done,
                                  int min_step) {
  const int n = static_cast<int>(prompt.size());
  std::vector<int> points;
  int begin = 0;
  for (int i = 1; i < n; ++i) {
    if (prompt[static_cast<std::size_t>(i)] != turn_start) continue;
    add_inside(begin, i, min_step, points);
    points.push_back(i);
    begin = i;
  }
  add_inside(begin, n, min_step, points);
  points.push_back(n - 1);
  // So far ascending, but the last may be there already: as a border, or as n - min_step.
  points.erase(std::unique(points.begin(), points.end()), points.end());
  std::erase_if(points, [&](int at) { return at <= std::max(n_done, 0); });
  if (points.size() > kMostPlanned) thin(points);
  return points;
}

}  // namespace foretoken::cache
