// Summary of repeated measurements.
#pragma once

#include <span>

namespace foretoken::eval {

struct Summary {
  double mean = 0.0;
  double deviation = 0.0;  ///< standard deviation of a sample (n - 1); 0 for fewer than two
  double median = 0.0;
  double least = 0.0;
  double most = 0.0;
};

/// All zero for no samples.
Summary summarize(std::span<const double> samples);

}  // namespace foretoken::eval
