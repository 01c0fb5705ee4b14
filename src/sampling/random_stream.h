// The random numbers of one sequence. mt19937_64 is specified bit for bit by the C++ standard and
// the conversion to double is ours, so a seed gives the same stream with every compiler and library
// (std::uniform_real_distribution does not promise that).
#pragma once

#include <cstdint>
#include <random>

namespace foretoken::sampling {

/// Copyable: a copy continues the same stream from the same point.
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t seed) : engine_(seed) {}

  /// Uniform on [0, 1), a multiple of 2^-53.
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace foretoken::sampling
