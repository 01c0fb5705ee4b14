// For tests and benchmarks: random weight matrices of any decodable type, and random activations.
// Codes are uniform random bits; scales are small finite numbers of both signs where the format
// allows it, so that every field of a block takes part in a product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "base/half.h"
#include "kernels/ops.h"
#include "quant/blocks.h"

namespace foretoken::kernels::testing {

/// The bytes of a random matrix, and the view of it that Ops::pack takes.
struct RandomMatrix {
  quant::Type type;
  int rows;
  int cols;
  std::vector<std::byte> bytes;
  MatrixSource source() const { return {type, rows, cols, bytes.data()}; }
};

/// f16 bits of a number whose magnitude is within [1/2, 2] times `scale`.
inline std::uint16_t random_f16(std::mt19937& rng, float scale, bool either_sign) {
  std::uniform_real_distribution<float> magnitude(0.5F * scale, 2.0F * scale);
  const float value = magnitude(rng);
  return f32_to_f16(either_sign && (rng() & 1U) != 0 ? -value : value);
}

/// Makes the scales of one block (whose bytes are random) finite and small.
inline void tame_scales(quant::Type type, std::byte* block, std::mt19937& rng) {
  const auto put_f16 = [&](std::size_t offset, float scale, bool either_sign) {
    const std::uint16_t bits = random_f16(rng, scale, either_sign);
    std::memcpy(block + offset, &bits, sizeof(bits));
  };
  using quant::Type;
  switch (type) {
    case Type::F32: {
      const float value = f16_to_f32(random_f16(rng, 1.0F, true)) * 1.0000117F;
      std::memcpy(block, &value, sizeof(value));
      break;
    }
    case Type::F64: {
      const double value = static_cast<double>(f16_to_f32(random_f16(rng, 1.0F, true))) / 3.0;
      std::memcpy(block, &value, sizeof(value));
      break;
    }
    case Type::F16:
      put_f16(0, 1.0F, true);
      break;
    case Type::BF16: {
      const std::uint16_t bits = f32_to_bf16(f16_to_f32(random_f16(rng, 1.0F, true)));
      std::memcpy(block, &bits, sizeof(bits));
      break;
    }
    case Type::Q4_1:
    case Type::Q5_1:
      put_f16(offsetof(quant::BlockQ4_1, m), 1.0F, true);
      [[fallthrough]];
    case Type::Q8_0:
    case Type::Q4_0:
    case Type::Q5_0:
    case Type::IQ4_NL:
    case Type::IQ4_XS:
    case Type::Q1_0:
    case Type::Q2_0:
      put_f16(0, 0.1F, true);
      break;
    case Type::Q4_K:
    case Type::Q5_K:
      put_f16(offsetof(quant::BlockQ4_K, d), 0.01F, true);
      put_f16(offsetof(quant::BlockQ4_K, dmin), 0.05F, true);
      break;
    case Type::Q6_K:
      put_f16(offsetof(quant::BlockQ6_K, d), 0.001F, true);
      break;
    case Type::Q2_K:
      put_f16(offsetof(quant::BlockQ2_K, d), 0.1F, true);
      put_f16(offsetof(quant::BlockQ2_K, dmin), 0.1F, true);
      break;
    case Type::Q3_K:
      put_f16(offsetof(quant::BlockQ3_K, d), 0.05F, true);
      break;
    case Type::MXFP4:
      block[0] = static_cast<std::byte>(120 + rng() % 12);
      break;
    case Type::NVFP4:
      for (int b = 0; b < 4; ++b) block[b] = static_cast<std::byte>(0x28 + rng() % 24);
      break;
    default:
      break;
  }
}

inline RandomMatrix random_matrix(quant::Type type, int rows, int cols, std::uint32_t seed) {
  std::mt19937 rng(seed);
  const auto block_bytes = static_cast<std::size_t>(quant::type_info(type).block_bytes);
  const std::size_t size =
      static_cast<std::size_t>(rows) * quant::row_bytes(type, static_cast<std::size_t>(cols));
  RandomMatrix matrix{type, rows, cols, std::vector<std::byte>(size)};
  for (std::size_t i = 0; i < size; ++i) matrix.bytes[i] = static_cast<std::byte>(rng() >> 24);
  for (std::size_t i = 0; i < size; i += block_bytes) tame_scales(type, &matrix.bytes[i], rng);
  return matrix;
}

/// Normal values with a few outliers, as the inputs of a model's matrices are.
inline std::vector<float> random_activations(std::size_t count, std::uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(rng) * (rng() % 64 == 0 ? 10.0F : 1.0F);
  return values;
}

}  // namespace foretoken::kernels::testing
