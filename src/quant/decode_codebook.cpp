// Decoders of the formats whose 4-bit codes index a table: IQ4 (a fitted, non-uniform grid) and
// FP4 (E2M1 floats with E8M0 or E4M3 scales; OCP microscaling formats 1.0 and NVIDIA's NVFP4).
#include <bit>

#include "base/bytes.h"
#include "base/half.h"
#include "quant/blocks.h"
#include "quant/decode.h"

namespace foretoken::quant {

float half_e8m0(unsigned char e) {
  // 2^(e-128): below e = 2 the result is subnormal in binary32.
  if (e < 2) return std::bit_cast<float>(std::uint32_t{0x00200000} << e);
  return std::bit_cast<float>(static_cast<std::uint32_t>(e - 1) << 23);
}

float half_ue4m3(unsigned char u) {
  const int code = u & 0x7F;
  if (code == 0 || code == 0x7F) return 0.0F;
  const int exponent = code >> 3;
  const int mantissa = code & 7;
  if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-10F;
  const auto power = static_cast<std::uint32_t>(exponent - 8 + 127) << 23;
  return (1.0F + static_cast<float>(mantissa) / 8.0F) * std::bit_cast<float>(power);
}

void decode_iq4_nl(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 32, source += sizeof(BlockIQ4_NL), out += 32) {
    const auto block = load_le<BlockIQ4_NL>(source);
    const float d = f16_to_f32(block.d);
    for (int j = 0; j < 16; ++j) {
      out[j] = d * static_cast<float>(kIq4Codebook[block.qs[j] & 15]);
      out[j + 16] = d * static_cast<float>(kIq4Codebook[block.qs[j] >> 4]);
    }
  }
}

void decode_iq4_xs(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 256, source += sizeof(BlockIQ4_XS)) {
    const auto block = load_le<BlockIQ4_XS>(source);
    const float d = f16_to_f32(block.d);
    for (int g = 0; g < 8; ++g, out += 32) {
      const int low = (block.scales_l[g / 2] >> (4 * (g % 2))) & 15;
      const int high = (block.scales_h >> (2 * g)) & 3;
      const float scale = d * static_cast<float>((low | high << 4) - 32);
      for (int j = 0; j < 16; ++j) {
        const std::uint8_t pair = block.qs[16 * g + j];
        out[j] = scale * static_cast<float>(kIq4Codebook[pair & 15]);
        out[j + 16] = scale * static_cast<float>(kIq4Codebook[pair >> 4]);
      }
    }
  }
}

void decode_mxfp4(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 32, source += sizeof(BlockMXFP4), out += 32) {
    const auto block = load_le<BlockMXFP4>(source);
    const float scale = half_e8m0(block.e);
    for (int j = 0; j < 16; ++j) {
      out[j] = static_cast<float>(kFp4Codebook[block.qs[j] & 15]) * scale;
      out[j + 16] = static_cast<float>(kFp4Codebook[block.qs[j] >> 4]) * scale;
    }
  }
}

void decode_nvfp4(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 64, source += sizeof(BlockNVFP4)) {
    const auto block = load_le<BlockNVFP4>(source);
    for (int b = 0; b < 4; ++b, out += 16) {
      const float scale = half_ue4m3(block.s[b]);
      for (int j = 0; j < 8; ++j) {
        const std::uint8_t pair = block.qs[8 * b + j];
        out[j] = static_cast<float>(kFp4Codebook[pair & 15]) * scale;
        out[j + 8] = static_cast<float>(kFp4Codebook[pair >> 4]) * scale;
      }
    }
  }
}

}  // namespace foretoken::quant
