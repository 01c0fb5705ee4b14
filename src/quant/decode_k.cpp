// Decoders of the K formats: 256 elements per block in groups of 16 or 32, whose scales are small
// integers multiplied by one f16 scale per block.
#include "base/bytes.h"
#include "base/half.h"
#include "quant/blocks.h"
#include "quant/decode.h"

namespace foretoken::quant {
namespace {

/// 2-bit code of element e in plane order.
int plane_code(const std::uint8_t* qs, int e) {
  return (qs[32 * (e / 128) + e % 32] >> (2 * ((e / 32) % 4))) & 3;
}

/// 4-bit code of element e of Q4_K and Q5_K: groups 2i and 2i+1 share 32 bytes.
int pair_nibble(const std::uint8_t* qs, int e) {
  return (qs[32 * (e / 64) + e % 32] >> (4 * ((e / 32) % 2))) & 15;
}

}  // namespace

void decode_q2_K(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 256, source += sizeof(BlockQ2_K)) {
    const auto block = load_le<BlockQ2_K>(source);
    const float d = f16_to_f32(block.d);
    const float dmin = f16_to_f32(block.dmin);
    for (int e = 0; e < 256; ++e) {
      const int scale = block.scales[e / 16] & 15;
      const int min = block.scales[e / 16] >> 4;
      *out++ = (d * static_cast<float>(scale)) * static_cast<float>(plane_code(block.qs, e)) -
               dmin * static_cast<float>(min);
    }
  }
}

void decode_q3_K(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 256, source += sizeof(BlockQ3_K)) {
    const auto block = load_le<BlockQ3_K>(source);
    const float d = f16_to_f32(block.d);
    const ScalesQ3_K scales = unpack_scales_q3_K(block.scales);
    for (int e = 0; e < 256; ++e) {
      const int third_bit = (block.hmask[e % 32] >> (e / 32)) & 1;
      const int code = plane_code(block.qs, e) - (third_bit != 0 ? 0 : 4);
      *out++ = (d * static_cast<float>(scales.scale[e / 16])) * static_cast<float>(code);
    }
  }
}

void decode_q4_K(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 256, source += sizeof(BlockQ4_K)) {
    const auto block = load_le<BlockQ4_K>(source);
    const float d = f16_to_f32(block.d);
    const float dmin = f16_to_f32(block.dmin);
    const ScalesQ4_K scales = unpack_scales_q4_K(block.scales);
    for (int e = 0; e < 256; ++e) {
      const int g = e / 32;
      const auto code = static_cast<float>(pair_nibble(block.qs, e));
      *out++ = (d * static_cast<float>(scales.scale[g])) * code -
               dmin * static_cast<float>(scales.min[g]);
    }
  }
}

void decode_q5_K(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 256, source += sizeof(BlockQ5_K)) {
    const auto block = load_le<BlockQ5_K>(source);
    const float d = f16_to_f32(block.d);
    const float dmin = f16_to_f32(block.dmin);
    const ScalesQ4_K scales = unpack_scales_q4_K(block.scales);
    for (int e = 0; e < 256; ++e) {
      const int g = e / 32;
      const int code = pair_nibble(block.qs, e) | ((block.qh[e % 32] >> g) & 1) << 4;
      *out++ = (d * static_cast<float>(scales.scale[g])) * static_cast<float>(code) -
               dmin * static_cast<float>(scales.min[g]);
    }
  }
}

void decode_q6_K(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 256, source += sizeof(BlockQ6_K)) {
    const auto block = load_le<BlockQ6_K>(source);
    const float d = f16_to_f32(block.d);
    for (int e = 0; e < 256; ++e) {
      const int h = e / 128;
      const int k = (e % 128) / 32;
      const int l = e % 32;
      const int low = (block.ql[64 * h + 32 * (k & 1) + l] >> (k < 2 ? 0 : 4)) & 15;
      const int high = (block.qh[32 * h + l] >> (2 * k)) & 3;
      *out++ = (d * static_cast<float>(block.scales[e / 16])) *
               static_cast<float>((low | high << 4) - 32);
    }
  }
}

}  // namespace foretoken::quant
