// The published test vectors of the format document: a generated matrix with zero, one-signed and
// outlier rows, hashed, at every level this processor has. The expected hashes are those of
// llama-quantize's output, with and without an importance matrix.
#include "quant/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "quant/blocks.h"
#include "quant/validate.h"

namespace foretoken::quant {
namespace {

constexpr std::size_t kRows = 16;
constexpr std::size_t kCols = 1024;

std::vector<EncodeLevel> levels() {
  std::vector<EncodeLevel> all = {EncodeLevel::Scalar};
  if (best_encode_level() != EncodeLevel::Scalar) all.push_back(EncodeLevel::Avx2);
  if (best_encode_level() == EncodeLevel::Avx512) all.push_back(EncodeLevel::Avx512);
  return all;
}

std::string name_of(EncodeLevel level) {
  switch (level) {
    case EncodeLevel::Scalar:
      return "scalar";
    case EncodeLevel::Avx2:
      return "AVX2";
    case EncodeLevel::Avx512:
      return "AVX-512";
  }
  return {};
}

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

std::vector<float> test_importance() {
  std::vector<float> out;
  for (std::size_t j = 0; j < kCols; ++j) {
    out.push_back(1.0F + static_cast<float>(37 * j % 101) / 8.0F);
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

std::vector<std::byte> quantized(Type type, const std::vector<float>& x, std::size_t n_cols,
                                 const float* importance, EncodeLevel level) {
  const std::size_t n_rows = x.size() / n_cols;
  std::vector<std::byte> out(n_rows * row_bytes(type, n_cols));
  quantize_rows(type, x.data(), n_rows, n_cols, importance, out.data(), level);
  return out;
}

struct Published {
  Type type;
  std::uint64_t plain;
  std::uint64_t weighted;  // with test_importance()
};

constexpr Published kPublished[] = {
    {Type::F32, 0xdb375ea58ebadaf8, 0xdb375ea58ebadaf8},
    {Type::F16, 0x4b3bb70c7fb212c9, 0x4b3bb70c7fb212c9},
    {Type::BF16, 0x45da4186207f3187, 0x45da4186207f3187},
    {Type::Q8_0, 0x049ebc041a7e2943, 0x049ebc041a7e2943},
    {Type::Q4_0, 0x2f602e899f12dce9, 0x4f1c781e04efcbce},
    {Type::Q4_1, 0x5bf940e1756ec1d5, 0xaed4d5c962d6a9e1},
    {Type::Q5_0, 0x3ce936fa960e3050, 0x332049ec3259603f},
    {Type::Q5_1, 0x5d84ba140bd8feb5, 0xc854e93663d2f426},
    {Type::Q2_K, 0xa575362c42a45a13, 0xc97d66b4f0e8610a},
    {Type::Q3_K, 0xd5581fdba5395ec7, 0x43833bbe97af7e2e},
    {Type::Q4_K, 0x65f3b718292ffe4f, 0x8873bc92689b723b},
    {Type::Q5_K, 0x6817f3d95fee27d8, 0x40fdd78a84c0252e},
    {Type::Q6_K, 0x62ef5e2b50aa9172, 0x5bbe1adb6772ded4},
    {Type::IQ4_NL, 0xaabbab52f0b94da1, 0x6a192cec83cfbdb2},
    {Type::IQ4_XS, 0x8e7488a59f7aa9b7, 0xb1b1aaa3bde69837},
    {Type::MXFP4, 0x766de33db9b8f937, 0x766de33db9b8f937},
    {Type::NVFP4, 0x6e5d7fc94fce2477, 0x6e5d7fc94fce2477},
    {Type::Q1_0, 0x0bef07a4455a476f, 0x0bef07a4455a476f},
    {Type::Q2_0, 0x8825c1c2394747d7, 0x8825c1c2394747d7},
};

TEST(Quantize, GeneratorMakesThePublishedMatrix) {
  const auto x = test_matrix();
  EXPECT_FLOAT_EQ(x[0], -1.56997943F);
  EXPECT_FLOAT_EQ(x[3], 0.398755789F);
  EXPECT_EQ(fnv1a(x.data(), x.size() * sizeof(float)), 0xdb375ea58ebadaf8U);
}

TEST(Quantize, EveryTypeHasThePublishedBytesAtEveryLevel) {
  const auto x = test_matrix();
  for (const Published& expected : kPublished) {
    for (const EncodeLevel level : levels()) {
      const auto bytes = quantized(expected.type, x, kCols, nullptr, level);
      EXPECT_EQ(fnv1a(bytes.data(), bytes.size()), expected.plain)
          << type_info(expected.type).name << " " << name_of(level);
    }
  }
}

TEST(Quantize, EveryTypeHasThePublishedBytesWithImportance) {
  const auto x = test_matrix();
  const auto importance = test_importance();
  for (const Published& expected : kPublished) {
    EXPECT_EQ(uses_importance(expected.type), expected.plain != expected.weighted);
    for (const EncodeLevel level : levels()) {
      const auto bytes = quantized(expected.type, x, kCols, importance.data(), level);
      EXPECT_EQ(fnv1a(bytes.data(), bytes.size()), expected.weighted)
          << type_info(expected.type).name << " " << name_of(level);
    }
  }
}

TEST(Quantize, KnowsTheTypesItCannotMake) {
  for (const Published& published : kPublished) EXPECT_TRUE(can_quantize(published.type));
  for (const Type type :
       {Type::IQ2_XXS, Type::IQ1_S, Type::TQ1_0, Type::Q8_1, Type::Q8_K, Type::I32, Type::F64}) {
    EXPECT_FALSE(can_quantize(type)) << type_info(type).name;
    EXPECT_FALSE(uses_importance(type)) << type_info(type).name;
  }
}

TEST(Quantize, CuttingAMatrixIntoRowsChangesNothing) {
  const auto x = test_matrix();
  const auto importance = test_importance();
  for (const Published& published : kPublished) {
    const std::size_t bytes_per_row = row_bytes(published.type, kCols);
    for (const float* weights : {static_cast<const float*>(nullptr), importance.data()}) {
      const auto whole = quantized(published.type, x, kCols, weights, best_encode_level());
      std::vector<std::byte> pieces(whole.size());
      for (std::size_t row = 0; row < kRows;) {
        const std::size_t n = row % 3 + 1 < kRows - row ? row % 3 + 1 : kRows - row;
        quantize_rows(published.type, x.data() + row * kCols, n, kCols, weights,
                      pieces.data() + row * bytes_per_row);
        row += n;
      }
      EXPECT_EQ(whole, pieces) << type_info(published.type).name;
    }
  }
}

TEST(Quantize, WritesValidBlocksForOrdinaryWeights) {
  const auto x = test_matrix();
  for (const Published& published : kPublished) {
    const auto bytes = quantized(published.type, x, kCols, nullptr, best_encode_level());
    EXPECT_EQ(find_invalid_block(published.type, bytes), std::nullopt)
        << type_info(published.type).name;
  }
}

// Relative root mean square error after encoding and decoding.
double relative_error(Type type, const std::vector<float>& x) {
  const auto bytes = quantized(type, x, x.size(), nullptr, best_encode_level());
  std::vector<float> back(x.size());
  dequantize_row(type, bytes.data(), back.data(), x.size());
  double error = 0.0;
  double power = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double off = static_cast<double>(back[i]) - static_cast<double>(x[i]);
    error += off * off;
    power += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  return std::sqrt(error / power);
}

TEST(Quantize, DecodingNormalWeightsComesAsCloseAsTheFormatAllows) {
  struct Row {
    Type type;
    double error;  // docs/quant-formats.md, "Making blocks"
  };
  constexpr Row kErrors[] = {
      {Type::Q8_0, .0053}, {Type::Q6_K, .0177}, {Type::Q5_K, .0360},   {Type::Q5_1, .0376},
      {Type::Q5_0, .0423}, {Type::Q4_K, .0710}, {Type::IQ4_NL, .0757}, {Type::IQ4_XS, .0763},
      {Type::Q4_1, .0778}, {Type::Q4_0, .0855}, {Type::NVFP4, .1033},  {Type::MXFP4, .1131},
      {Type::Q3_K, .1505}, {Type::Q2_K, .2972}, {Type::BF16, .0017},   {Type::F16, .0002}};
  std::mt19937 rng(7);
  std::normal_distribution<float> normal(0.0F, 0.02F);  // as weights are; NVFP4 is not scale-free
  std::vector<float> x(1U << 16);
  for (float& v : x) v = normal(rng);
  for (const Row& row : kErrors) {
    // The sample's own spread is below 1 %, and the published figures end at the fourth digit.
    const double tolerance = 0.02 * row.error + 0.00005;
    EXPECT_NEAR(relative_error(row.type, x), row.error, tolerance) << type_info(row.type).name;
  }
}

TEST(Quantize, ImportanceMovesTheErrorToUnimportantColumns) {
  const auto x = test_matrix();
  std::vector<float> importance(kCols, 0.01F);
  for (std::size_t col = 0; col < kCols; col += 4) importance[col] = 100.0F;
  for (const Type type : {Type::Q4_0, Type::Q4_K, Type::Q6_K, Type::IQ4_XS, Type::Q2_K}) {
    const auto error_of_important = [&](const float* weights) {
      const auto bytes = quantized(type, x, kCols, weights, best_encode_level());
      double error = 0.0;
      std::vector<float> back(x.size());
      dequantize_row(type, bytes.data(), back.data(), x.size());
      for (std::size_t i = 0; i < x.size(); i += 4) {
        const double off = static_cast<double>(back[i]) - static_cast<double>(x[i]);
        error += off * off;
      }
      return error;
    };
    EXPECT_LT(error_of_important(importance.data()), error_of_important(nullptr))
        << type_info(type).name;
  }
}

TEST(Quantize, ZeroAndDenormalBlocksAreWellDefined) {
  for (const EncodeLevel level : levels()) {
    std::vector<float> x(32, 0.0F);
    BlockQ4_0 q4{};
    std::memcpy(&q4, quantized(Type::Q4_0, x, 32, nullptr, level).data(), sizeof(q4));
    EXPECT_EQ(q4.d, 0x8000);  // minus zero, as the reference writes it
    EXPECT_EQ(q4.qs[0], 0x88);
    x[3] = 1e-42F;  // the reciprocal of its scale overflows
    BlockQ8_0 q8{};
    std::memcpy(&q8, quantized(Type::Q8_0, x, 32, nullptr, level).data(), sizeof(q8));
    EXPECT_EQ(q8.d, 0);
    EXPECT_EQ(q8.q[3], 0);
    // Below 2^-125 the exponent would be negative; the reference wraps and then rejects the file.
    const auto fp4 = quantized(Type::MXFP4, x, 32, nullptr, level);
    EXPECT_EQ(fp4[0], std::byte{0});
    EXPECT_EQ(find_invalid_block(Type::MXFP4, fp4), std::nullopt);
  }
}

TEST(Quantize, Q8_0RoundsHalvesAwayFromZero) {
  for (const EncodeLevel level : levels()) {
    std::vector<float> x(32, 0.0F);
    x[0] = 127.0F;  // d = 1
    x[1] = 0.5F;
    x[2] = -0.5F;
    x[3] = 2.5F;
    x[4] = -2.5F;
    x[5] = std::nextafter(0.5F, 0.0F);
    x[6] = std::nextafter(126.5F, 0.0F);
    x[7] = -126.5F;
    BlockQ8_0 block{};
    std::memcpy(&block, quantized(Type::Q8_0, x, 32, nullptr, level).data(), sizeof(block));
    const std::vector<int> codes(block.q, block.q + 8);
    EXPECT_EQ(codes, (std::vector<int>{127, 1, -1, 3, -3, 0, 126, -127})) << name_of(level);
  }
}

}  // namespace
}  // namespace foretoken::quant
