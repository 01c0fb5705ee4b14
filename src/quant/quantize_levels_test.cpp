// Every level writes the bytes of the scalar one, on data made to part them: empty and constant
// groups, one-sided ones, ties, denormals, numbers whose squares overflow, outliers, and counts of
// blocks that leave lanes unused. Nothing is written beyond the rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <random>
#include <vector>

#include "base/half.h"
#include "quant/quantize.h"

namespace foretoken::quant {
namespace {

constexpr Type kTypes[] = {Type::F16,   Type::BF16, Type::Q8_0,   Type::Q4_0,   Type::Q4_1,
                           Type::Q5_0,  Type::Q5_1, Type::Q2_K,   Type::Q3_K,   Type::Q4_K,
                           Type::Q5_K,  Type::Q6_K, Type::IQ4_NL, Type::IQ4_XS, Type::MXFP4,
                           Type::NVFP4, Type::Q1_0, Type::Q2_0};

enum class Kind {
  Normal,
  Bf16,
  Outliers,
  SomeGroupsEmpty,
  ConstantGroups,
  Positive,
  Negative,
  Denormal,
  BelowTheLeast,
  Ties,
  AllExponents,
  FarFromZero,
  AlmostConstant,
  SquaresOverflow,
  NearPowersOfTwo,
  kCount
};

// One element; `group` counts runs of 16.
float draw(Kind kind, std::size_t group, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  const float v = normal(rng);
  const auto one_in = [&rng](unsigned n) { return rng() % n == 0; };
  switch (kind) {
    case Kind::Normal:
      return 0.02F * v;
    case Kind::Bf16:
      return bf16_to_f32(f32_to_bf16(0.02F * v));
    case Kind::Outliers:
      return one_in(100) ? 30.0F * v : v;
    case Kind::SomeGroupsEmpty:
      return group % 3 == 0 ? (one_in(2) ? 0.0F : -0.0F) : v;
    case Kind::ConstantGroups:
      return 0.25F * (static_cast<float>(group % 7) - 3.0F);
    case Kind::Positive:
      return std::abs(v) + 5.0F * static_cast<float>(group % 3);
    case Kind::Negative:
      return -std::abs(v) - 5.0F * static_cast<float>(group % 3);
    case Kind::Denormal:
      return 1e-40F * v;
    case Kind::BelowTheLeast:
      return (group % 2 == 0 ? 3e-16F : 3e-15F) * v;
    case Kind::Ties:
      return 0.125F * (static_cast<float>(rng() % 9) - 4.0F);
    case Kind::AllExponents:
      return std::ldexp(v, static_cast<int>(rng() % 240) - 130);
    case Kind::FarFromZero:
      return 0.001F * v - 1000.0F;
    case Kind::AlmostConstant:
      return one_in(5) ? std::nextafter(-3.0F, -4.0F) : -3.0F;
    case Kind::SquaresOverflow:
      return 1e37F * v;
    case Kind::NearPowersOfTwo:
      return std::ldexp(one_in(2) ? 1.0F : 1.0F - 0x1p-24F, static_cast<int>(rng() % 8) - 4);
    case Kind::kCount:
      break;
  }
  return 0.0F;
}

std::vector<float> matrix(Kind kind, std::size_t n, std::mt19937& rng) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = draw(kind, i / 16, rng);
  return x;
}

// Weights over many magnitudes, some of them zero.
std::vector<float> importance(std::size_t n, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> q(n);
  for (float& v : q) v = rng() % 20 == 0 ? 0.0F : std::exp(3.0F * normal(rng));
  return q;
}

std::vector<EncodeLevel> vector_levels() {
  std::vector<EncodeLevel> out;
  if (best_encode_level() != EncodeLevel::Scalar) out.push_back(EncodeLevel::Avx2);
  if (best_encode_level() == EncodeLevel::Avx512) out.push_back(EncodeLevel::Avx512);
  return out;
}

constexpr std::byte kGuard{0xA5};

// The rows encoded into a buffer with guard bytes behind them, which must survive.
std::vector<std::byte> encoded(Type type, const std::vector<float>& x, std::size_t n_cols,
                               const float* weights, EncodeLevel level) {
  const std::size_t n_rows = x.size() / n_cols;
  const std::size_t size = n_rows * row_bytes(type, n_cols);
  std::vector<std::byte> out(size + 64, kGuard);
  quantize_rows(type, x.data(), n_rows, n_cols, weights, out.data(), level);
  EXPECT_EQ(std::count(out.begin() + static_cast<std::ptrdiff_t>(size), out.end(), kGuard), 64);
  out.resize(size);
  return out;
}

class QuantizeLevels : public ::testing::TestWithParam<Type> {};

TEST_P(QuantizeLevels, WriteTheScalarBytes) {
  const Type type = GetParam();
  const auto block = static_cast<std::size_t>(std::max(type_info(type).block_elements, 32));
  std::mt19937 rng(static_cast<unsigned>(type) + 1);
  for (int round = 0; round < 4 * static_cast<int>(Kind::kCount); ++round) {
    const int kind = round / 4;
    // Numbers of blocks below, at and above the lanes of each level, in rows of one or more.
    const std::size_t n_rows = 1 + rng() % 7;
    const std::size_t n_cols = block * (1 + rng() % 5);
    const auto x = matrix(static_cast<Kind>(kind), n_rows * n_cols, rng);
    const auto q = importance(n_cols, rng);
    for (const float* weights : {static_cast<const float*>(nullptr), q.data()}) {
      const auto expected = encoded(type, x, n_cols, weights, EncodeLevel::Scalar);
      for (const EncodeLevel level : vector_levels()) {
        const auto bytes = encoded(type, x, n_cols, weights, level);
        EXPECT_EQ(bytes, expected)
            << "kind " << kind << ", " << n_rows << " x " << n_cols
            << (weights != nullptr ? ", weighted" : "") << ", level " << static_cast<int>(level);
      }
    }
  }
}

TEST_P(QuantizeLevels, AgreeOnManyRows) {
  // More rows than a strip of the legacy types' row variances holds.
  const Type type = GetParam();
  const auto block = static_cast<std::size_t>(std::max(type_info(type).block_elements, 32));
  std::mt19937 rng(77);
  const auto x = matrix(Kind::Normal, 131 * block, rng);
  const auto q = importance(block, rng);
  const auto expected = encoded(type, x, block, q.data(), EncodeLevel::Scalar);
  std::vector<std::byte> by_row;
  for (std::size_t row = 0; row < 131; ++row) {
    const std::vector<float> one(x.begin() + static_cast<std::ptrdiff_t>(row * block),
                                 x.begin() + static_cast<std::ptrdiff_t>((row + 1) * block));
    const auto bytes = encoded(type, one, block, q.data(), EncodeLevel::Scalar);
    by_row.insert(by_row.end(), bytes.begin(), bytes.end());
  }
  EXPECT_EQ(expected, by_row);
  for (const EncodeLevel level : vector_levels()) {
    EXPECT_EQ(encoded(type, x, block, q.data(), level), expected) << static_cast<int>(level);
  }
}

TEST_P(QuantizeLevels, AcceptNoRows) {
  std::byte untouched = kGuard;
  quantize_rows(GetParam(), nullptr, 0, 256, nullptr, &untouched);
  EXPECT_EQ(untouched, kGuard);
}

std::string name_of(const ::testing::TestParamInfo<Type>& info) {
  return std::string(type_info(info.param).name);
}

INSTANTIATE_TEST_SUITE_P(Types, QuantizeLevels, ::testing::ValuesIn(kTypes), name_of);

}  // namespace
}  // namespace foretoken::quant
