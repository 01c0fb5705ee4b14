// Decoders of the one- and two-bit formats.
#include "base/bytes.h"
#include "base/half.h"
#include "quant/blocks.h"
#include "quant/decode.h"

namespace foretoken::quant {

void decode_q1_0(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 128, source += sizeof(BlockQ1_0)) {
    const auto block = load_le<BlockQ1_0>(source);
    const float d = f16_to_f32(block.d);
    for (int e = 0; e < 128; ++e) *out++ = ((block.qs[e / 8] >> (e % 8)) & 1) != 0 ? d : -d;
  }
}

void decode_q2_0(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 64, source += sizeof(BlockQ2_0)) {
    const auto block = load_le<BlockQ2_0>(source);
    const float d = f16_to_f32(block.d);
    for (int e = 0; e < 64; ++e) {
      const int code = (block.qs[e / 4] >> (2 * (e % 4))) & 3;
      *out++ = static_cast<float>(code - 1) * d;
    }
  }
}

}  // namespace foretoken::quant
