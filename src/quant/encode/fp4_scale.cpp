// Source: docs/quant-formats.md, "Making blocks"; OCP Microscaling Formats 1.0 (E8M0); NVIDIA's
// description of NVFP4 (unsigned E4M3).
#include "quant/encode/fp4_scale.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace foretoken::quant {

std::uint8_t mxfp4_scale(float max_abs) {
  if (!(max_abs > 0.0F)) return 0;
  const auto logarithm = static_cast<float>(std::log2(static_cast<double>(max_abs)));
  const int exponent = static_cast<int>(std::floor(logarithm)) - 2 + 127;
  return static_cast<std::uint8_t>(std::clamp(exponent, 0, 254));
}

std::uint8_t ue4m3_of(float value) {
  constexpr int kLargest = 0x7E;
  if (!(value > 0.0F)) return 0;
  const auto bits = std::bit_cast<std::uint32_t>(std::min(value, 448.0F));
  const int exponent = static_cast<int>(bits >> 23) - 127 + 7;
  if (exponent <= 0) {
    // NOLINTNEXTLINE(bugprone-incorrect-roundings): rounds as the reference does
    return static_cast<std::uint8_t>(std::min(7, static_cast<int>(value * 512.0F + 0.5F)));
  }
  // Exponent and mantissa are neighbours, so the carry of rounding up is an ordinary one.
  const int rounded =
      (exponent << 3 | static_cast<int>(bits >> 20 & 7)) + static_cast<int>(bits >> 19 & 1);
  return static_cast<std::uint8_t>(exponent >= 15 || rounded >> 3 >= 15 ? kLargest : rounded);
}

}  // namespace foretoken::quant
