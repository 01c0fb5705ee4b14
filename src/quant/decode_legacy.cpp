// Decoders of the formats with 32 elements and one f16 scale (and perhaps a minimum) per block.
// Nibbles: byte j holds element j in its low and element j + 16 in its high half.
#include "base/bytes.h"
#include "base/half.h"
#include "quant/blocks.h"
#include "quant/decode.h"

namespace foretoken::quant {
namespace {

/// 5-bit code of element e: its nibble plus bit e of qh.
int five_bits(const std::uint8_t* qs, std::uint32_t qh, int e) {
  const int nibble = (qs[e % 16] >> (e < 16 ? 0 : 4)) & 15;
  return nibble | static_cast<int>((qh >> e) & 1U) << 4;
}

}  // namespace

void decode_q8_0(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 32, source += sizeof(BlockQ8_0)) {
    const auto block = load_le<BlockQ8_0>(source);
    const float d = f16_to_f32(block.d);
    for (int e = 0; e < 32; ++e) *out++ = static_cast<float>(block.q[e]) * d;
  }
}

void decode_q4_0(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 32, source += sizeof(BlockQ4_0), out += 32) {
    const auto block = load_le<BlockQ4_0>(source);
    const float d = f16_to_f32(block.d);
    for (int j = 0; j < 16; ++j) {
      out[j] = static_cast<float>((block.qs[j] & 15) - 8) * d;
      out[j + 16] = static_cast<float>((block.qs[j] >> 4) - 8) * d;
    }
  }
}

void decode_q4_1(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 32, source += sizeof(BlockQ4_1), out += 32) {
    const auto block = load_le<BlockQ4_1>(source);
    const float d = f16_to_f32(block.d);
    const float m = f16_to_f32(block.m);
    for (int j = 0; j < 16; ++j) {
      out[j] = static_cast<float>(block.qs[j] & 15) * d + m;
      out[j + 16] = static_cast<float>(block.qs[j] >> 4) * d + m;
    }
  }
}

void decode_q5_0(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 32, source += sizeof(BlockQ5_0)) {
    const auto block = load_le<BlockQ5_0>(source);
    const float d = f16_to_f32(block.d);
    for (int e = 0; e < 32; ++e) {
      *out++ = static_cast<float>(five_bits(block.qs, block.qh, e) - 16) * d;
    }
  }
}

void decode_q5_1(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 32, source += sizeof(BlockQ5_1)) {
    const auto block = load_le<BlockQ5_1>(source);
    const float d = f16_to_f32(block.d);
    const float m = f16_to_f32(block.m);
    for (int e = 0; e < 32; ++e) {
      *out++ = static_cast<float>(five_bits(block.qs, block.qh, e)) * d + m;
    }
  }
}

}  // namespace foretoken::quant
