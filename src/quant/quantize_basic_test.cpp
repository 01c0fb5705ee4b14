// The published test vector of the format document: a generated matrix with zero, one-signed and
// outlier rows, hashed. The expected hashes are those of llama-quantize's output.
#include "quant/quantize_basic.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/half.h"
#include "quant/blocks.h"
#include "quant/type.h"

namespace foretoken::quant {
namespace {

constexpr std::size_t kRows = 16;
constexpr std::size_t kCols = 1024;

// docs/quant-formats.md, "Test vectors".
std::vector<float> test_matrix() {
  std::uint32_t s = 12345;
  const auto draw = [&s] {
    s = s * 1664525U + 1013904223U;
    return (static_cast<float>(s >> 9) - 0x1p22F) * 0x1p-22F;
  };
  std::vector<float> out;
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t col = 0; col < kCols; ++col) {
      const float a = draw();
      const float b = draw();
      const float c = draw();
      const float d = draw();
      float v = ((a + b) + (c + d)) / static_cast<float>(1U << (row % 5));
      if (row == 3) v = 0.0F;
      if (row == 7) v = std::abs(v);
      if (row == 11 && col % 64 == 5) v *= 32.0F;
      out.push_back(v);
    }
  }
  return out;
}

std::uint64_t fnv1a(const void* data, std::size_t size) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < size; ++i) {
    hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3;
  }
  return hash;
}

TEST(QuantizeBasic, GeneratorMakesThePublishedMatrix) {
  const auto x = test_matrix();
  EXPECT_FLOAT_EQ(x[0], -1.56997943F);
  EXPECT_FLOAT_EQ(x[3], 0.398755789F);
  EXPECT_EQ(fnv1a(x.data(), x.size() * sizeof(float)), 0xdb375ea58ebadaf8U);
}

TEST(QuantizeBasic, Q8_0HasThePublishedBytes) {
  const auto x = test_matrix();
  std::vector<std::byte> out(row_bytes(Type::Q8_0, x.size()));
  quantize_row_q8_0(x.data(), out.data(), x.size());
  ASSERT_EQ(out.size(), 17408U);
  EXPECT_EQ(fnv1a(out.data(), out.size()), 0x049ebc041a7e2943U);
}

TEST(QuantizeBasic, Q4_0HasThePublishedBytes) {
  const auto x = test_matrix();
  std::vector<std::byte> out(row_bytes(Type::Q4_0, x.size()));
  quantize_row_q4_0(x.data(), out.data(), x.size());
  ASSERT_EQ(out.size(), 9216U);
  EXPECT_EQ(fnv1a(out.data(), out.size()), 0x2f602e899f12dce9U);
}

TEST(QuantizeBasic, HalfConversionsHaveThePublishedBytes) {
  const auto x = test_matrix();
  std::vector<std::uint16_t> f16;
  std::vector<std::uint16_t> bf16;
  for (const float v : x) {
    f16.push_back(f32_to_f16(v));
    bf16.push_back(f32_to_bf16(v));
  }
  EXPECT_EQ(fnv1a(f16.data(), f16.size() * 2), 0x4b3bb70c7fb212c9U);
  EXPECT_EQ(fnv1a(bf16.data(), bf16.size() * 2), 0x45da4186207f3187U);
}

TEST(QuantizeBasic, DecodingComesWithinHalfAStep) {
  const auto x = test_matrix();
  for (const Type type : {Type::Q8_0, Type::Q4_0}) {
    std::vector<std::byte> packed(row_bytes(type, x.size()));
    std::vector<float> back(x.size());
    const auto quantize = type == Type::Q8_0 ? quantize_row_q8_0 : quantize_row_q4_0;
    quantize(x.data(), packed.data(), x.size());
    dequantize_row(type, packed.data(), back.data(), x.size());
    for (std::size_t block = 0; block < x.size(); block += 32) {
      float largest = 0.0F;
      for (std::size_t e = block; e < block + 32; ++e) largest = std::max(largest, std::abs(x[e]));
      // Half a step, plus the rounding of the scale to 11 bits; Q4_0 has no code for +8, so its
      // positive end may be off by a whole step.
      const float step = largest / (type == Type::Q8_0 ? 127.0F : 8.0F);
      const float bound = (type == Type::Q8_0 ? 0.5F : 1.0F) * step + largest * 0x1p-11F;
      for (std::size_t e = block; e < block + 32; ++e) {
        EXPECT_LE(std::abs(back[e] - x[e]), bound * 1.0001F + 1e-7F) << e;
      }
    }
  }
}

TEST(QuantizeBasic, ZeroAndDenormalBlocksAreWellDefined) {
  std::vector<float> x(32, 0.0F);
  BlockQ4_0 q4{};
  quantize_row_q4_0(x.data(), reinterpret_cast<std::byte*>(&q4), 32);
  EXPECT_EQ(q4.d, 0x8000);  // minus zero, as the reference writes it
  EXPECT_EQ(q4.qs[0], 0x88);
  x[3] = 1e-42F;  // the reciprocal of its scale overflows
  BlockQ8_0 q8{};
  quantize_row_q8_0(x.data(), reinterpret_cast<std::byte*>(&q8), 32);
  EXPECT_EQ(q8.d, 0);
  EXPECT_EQ(q8.q[3], 0);
}

}  // namespace
}  // namespace foretoken::quant
