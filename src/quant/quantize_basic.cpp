// Q8_0 and Q4_0 by the plain rule: one pass for the scale, one for the codes.
#include "quant/quantize_basic.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "quant/blocks.h"

namespace foretoken::quant {
namespace {

// Where the scale is so small that its reciprocal overflows, the products are infinite or NaN and
// x86's conversion, hence the reference's bytes, gives INT_MIN, whose low byte is 0.
std::int8_t truncate_to_i8(float value) {
  return std::fabs(value) < 0x1p31F ? static_cast<std::int8_t>(static_cast<int>(value))
                                    : std::int8_t{0};
}

}  // namespace

void quantize_row_q8_0(const float* x, std::byte* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 32, x += 32, out += sizeof(BlockQ8_0)) {
    float max_abs = 0.0F;
    for (int e = 0; e < 32; ++e) max_abs = std::max(max_abs, std::fabs(x[e]));
    const float d = max_abs / 127.0F;
    const float inverse = d != 0.0F ? 1.0F / d : 0.0F;
    BlockQ8_0 block{};
    block.d = f32_to_f16(d);
    for (int e = 0; e < 32; ++e) {
      block.q[e] = truncate_to_i8(std::round(x[e] * inverse));
    }
    std::memcpy(out, &block, sizeof(block));
  }
}

void quantize_row_q4_0(const float* x, std::byte* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 32, x += 32, out += sizeof(BlockQ4_0)) {
    float extreme = 0.0F;
    for (int e = 0; e < 32; ++e) {
      if (std::fabs(x[e]) > std::fabs(extreme)) extreme = x[e];
    }
    const float d = extreme / -8.0F;
    const float inverse = d != 0.0F ? 1.0F / d : 0.0F;
    const auto code = [inverse](float value) {
      return std::min(15, int{truncate_to_i8(value * inverse + 8.5F)});
    };
    BlockQ4_0 block{};
    block.d = f32_to_f16(d);
    for (int j = 0; j < 16; ++j) {
      block.qs[j] = static_cast<std::uint8_t>(code(x[j]) | code(x[j + 16]) << 4);
    }
    std::memcpy(out, &block, sizeof(block));
  }
}

}  // namespace foretoken::quant
