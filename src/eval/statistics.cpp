#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace foretoken::eval {

Summary summarize(std::span<const double> samples) {
  Summary out;
  if (samples.empty()) return out;
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<double>(sorted.size());
  out.least = sorted.front();
  out.most = sorted.back();
  const std::size_t middle = sorted.size() / 2;
  out.median = sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  out.mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / n;
  if (sorted.size() < 2) return out;
  double squares = 0.0;
  for (const double sample : sorted) squares += (sample - out.mean) * (sample - out.mean);
  out.deviation = std::sqrt(squares / (n - 1));
  return out;
}

}  // namespace foretoken::eval
