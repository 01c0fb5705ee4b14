// For tests: Pearson's goodness of fit between observed counts and a law.
#pragma once

#include <cmath>
#include <span>

namespace foretoken::sampling {

/// How far the statistic sum((o - e)^2 / e) lies above its mean, in standard normal deviates by the
/// cube-root approximation of Wilson and Hilferty (1931). Below about 4 for a true law; a count on
/// an impossible outcome gives infinity. Cells must expect 5 or more observations, or none.
inline double chi_square_deviate(std::span<const int> observed, std::span<const double> law) {
  double total = 0.0;
  for (const int o : observed) total += o;
  double statistic = 0.0;
  int cells = 0;
  for (std::size_t i = 0; i < law.size(); ++i) {
    const double expected = total * law[i];
    if (expected <= 0.0) {
      if (observed[i] > 0) return HUGE_VAL;
      continue;
    }
    const double d = static_cast<double>(observed[i]) - expected;
    statistic += d * d / expected;
    ++cells;
  }
  if (cells < 2) return 0.0;
  const double k = static_cast<double>(cells - 1);
  const double spread = 2.0 / (9.0 * k);
  return (std::cbrt(statistic / k) - (1.0 - spread)) / std::sqrt(spread);
}

}  // namespace foretoken::sampling
