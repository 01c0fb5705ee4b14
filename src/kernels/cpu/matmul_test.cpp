// Matrix products and norms of every instruction set: against exact products of the dequantized
// weights with the documented 8-bit activations, and the promise that an element's bits depend on
// its weight row and its own token only.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <tuple>

#include "base/thread_pool.h"
#include "kernels/cpu/pack_weights.h"
#include "kernels/cpu/weight_layout.h"
#include "kernels/random_blocks.h"

namespace foretoken::kernels {
namespace {

using quant::Type;
using testing::random_activations;
using testing::random_matrix;
using testing::RandomMatrix;

constexpr Type kTypes[] = {Type::F32,   Type::F16,   Type::BF16, Type::F64,  Type::Q8_0,
                           Type::Q4_0,  Type::Q4_1,  Type::Q5_0, Type::Q5_1, Type::IQ4_NL,
                           Type::MXFP4, Type::NVFP4, Type::Q1_0, Type::Q2_0, Type::Q2_K,
                           Type::Q3_K,  Type::Q4_K,  Type::Q5_K, Type::Q6_K, Type::IQ4_XS};
constexpr double kEpsilon = 0x1p-24;  // half a unit in the last place of f32

std::size_t size(int n) { return static_cast<std::size_t>(n); }

// The rule of docs/kernels.md: blocks with d = max|x| / 127, codes round-half-even(x * (127 /
// max)).
std::vector<double> documented_activations(Type type, const std::vector<float>& x) {
  std::vector<double> out(x.begin(), x.end());
  const ActivationKind kind = layout_info(layout_of(type)).kind;
  if (kind == ActivationKind::Float) return out;
  const std::size_t block = kind == ActivationKind::Super ? 256 : 32;
  for (std::size_t b = 0; b < x.size(); b += block) {
    float largest = 0.0F;
    for (std::size_t k = b; k < b + block; ++k) largest = std::max(largest, std::fabs(x[k]));
    const float d = largest / 127.0F;
    for (std::size_t k = b; k < b + block; ++k) {
      out[k] = static_cast<double>(std::nearbyint(x[k] * (127.0F / largest))) * d;
    }
  }
  return out;
}

// Row r of the decoded matrix.
std::vector<float> decode_row(const RandomMatrix& matrix, int r) {
  std::vector<float> row(size(matrix.cols));
  quant::dequantize_row(matrix.type,
                        matrix.bytes.data() + size(r) * quant::row_bytes(matrix.type, row.size()),
                        row.data(), row.size());
  return row;
}

struct Expected {
  double value;
  double tolerance;
};

// The exact product, and a bound on what f32 rounding may change. Every f32 step rounds a partial
// sum that is at most the sum of all magnitudes. Terms of formats with minima are differences; four
// times the largest weight of a block bounds both parts, because random codes reach both ends.
Expected expect_product(Type type, const std::vector<float>& w, const std::vector<double>& x) {
  const LayoutInfo info = layout_info(layout_of(type));
  const bool is_float = info.kind == ActivationKind::Float;
  const std::size_t block = is_float ? 1 : info.kind == ActivationKind::Super ? 256 : 32;
  double value = 0.0;
  double magnitude = 0.0;
  for (std::size_t b = 0; b < w.size(); b += block) {
    double largest = 0.0;
    double sum = 0.0;
    for (std::size_t k = b; k < b + block; ++k) {
      value += static_cast<double>(w[k]) * x[k];
      largest = std::max(largest, std::fabs(static_cast<double>(w[k])));
      sum += std::fabs(x[k]);
    }
    magnitude += (is_float ? 1.0 : 4.0) * largest * sum;
  }
  // A float's column passes through a quarter of all additions; a code through those of its groups
  // (at most 16) and of all later blocks.
  const double steps = is_float ? static_cast<double>(w.size()) / 4.0 + 3.0
                                : 2.0 * static_cast<double>(w.size() / block) + 22.0;
  return {value, steps * kEpsilon * magnitude};
}

std::vector<float> project(Ops& ops, const Matrix& matrix, const std::vector<float>& x, int n) {
  std::vector<float> out(size(n) * size(matrix.rows()), NAN);
  const Projection projection{&matrix, out.data(), false};
  ops.project({x.data(), n, matrix.cols(), nullptr, 0.0F}, {&projection, 1});
  return out;
}

class Matmul : public ::testing::TestWithParam<std::tuple<CpuLevel, Type>> {
 protected:
  CpuLevel level() const { return std::get<0>(GetParam()); }
  Type type() const { return std::get<1>(GetParam()); }
  int block() const { return quant::type_info(type()).block_elements; }
  // The nearest whole number of blocks, at least one.
  int whole_blocks(int cols) const { return std::max(1, (cols + block() / 2) / block()) * block(); }
  bool is_slow() const { return level() == CpuLevel::Scalar; }
};

void check_products(Ops& ops, const RandomMatrix& source, int n, std::uint32_t seed) {
  const auto matrix = ops.pack(source.source());
  const std::vector<float> x = random_activations(size(n) * size(source.cols), seed);
  const std::vector<float> y = project(ops, *matrix, x, n);
  std::vector<std::vector<double>> activations;
  for (int t = 0; t < n; ++t) {
    const auto token = x.begin() + static_cast<std::ptrdiff_t>(t) * source.cols;
    activations.push_back(documented_activations(source.type, {token, token + source.cols}));
  }
  for (int r = 0; r < source.rows; ++r) {
    const std::vector<float> w = decode_row(source, r);
    for (int t = 0; t < n; ++t) {
      const Expected expected = expect_product(source.type, w, activations[size(t)]);
      ASSERT_NEAR(y[size(t) * size(source.rows) + size(r)], expected.value, expected.tolerance)
          << source.rows << " x " << source.cols << ", n = " << n << ", row " << r << ", token "
          << t;
    }
  }
}

TEST_P(Matmul, EqualsExactProductOfDocumentedActivations) {
  ThreadPool pool(2);
  const auto ops = make_cpu_ops(pool, level());
  std::uint32_t seed = 1;
  for (int rows : {1, 4, 15, 16, 17, 33}) {
    for (int cols : {1, 96, 256, 300, 768}) {
      for (int n : {1, 3, 6, 7, 13}) {
        check_products(*ops, random_matrix(type(), rows, whole_blocks(cols), seed), n, seed + 1);
        if (HasFatalFailure()) return;
        ++seed;
      }
    }
  }
}

TEST_P(Matmul, StaysExactForLongRowsAndManyTokens) {
  ThreadPool pool(4);
  const auto ops = make_cpu_ops(pool, level());
  check_products(*ops, random_matrix(type(), 20, whole_blocks(9216), 7), 2, 8);
  if (HasFatalFailure()) return;
  check_products(*ops, random_matrix(type(), 100, whole_blocks(1280), 9), is_slow() ? 20 : 64, 10);
}

TEST_P(Matmul, ElementDoesNotDependOnBatchOrThreads) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int kTokens = 120;  // sanitized programs are ten times slower
#else
  constexpr int kTokens = 600;  // beyond what one panel serves
#endif
  const int rows = 53;
  const RandomMatrix source = random_matrix(type(), rows, whole_blocks(1536), 21);
  const std::vector<float> x = random_activations(size(kTokens) * size(source.cols), 22);
  ThreadPool one_thread(1);
  const auto reference_ops = make_cpu_ops(one_thread, level());
  const auto reference_matrix = reference_ops->pack(source.source());
  std::vector<float> one_by_one;
  for (int t = 0; t < kTokens; ++t) {
    const auto token = x.begin() + static_cast<std::ptrdiff_t>(t) * source.cols;
    const std::vector<float> y =
        project(*reference_ops, *reference_matrix, {token, token + source.cols}, 1);
    one_by_one.insert(one_by_one.end(), y.begin(), y.end());
  }
  for (int n_threads : {1, 2, 3, 4}) {
    ThreadPool pool(n_threads);
    const auto ops = make_cpu_ops(pool, level());
    const auto matrix = ops->pack(source.source());
    for (int n : {2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 17, 64, 100, kTokens}) {
      if (n == kTokens && (is_slow() || n_threads == 3)) continue;
      const std::vector<float> y = project(*ops, *matrix, x, n);
      ASSERT_TRUE(std::equal(y.begin(), y.end(), one_by_one.begin()))
          << "n = " << n << ", threads = " << n_threads;
    }
  }
}

TEST_P(Matmul, RowRangesHaveTheBitsOfTheWholeProduct) {
  const int rows = 100;
  const RandomMatrix source = random_matrix(type(), rows, whole_blocks(512), 31);
  ThreadPool pool(3);
  const auto ops = make_cpu_ops(pool, level());
  const auto matrix = ops->pack(source.source());
  const RowRange ranges[] = {{32, 16}, {0, 16}, {48, 0}, {64, 36}, {16, 16}};
  const int n_rows = 16 + 16 + 36 + 16;
  for (int n : {1, 5, 20}) {
    const std::vector<float> x = random_activations(size(n) * size(source.cols), 32);
    const std::vector<float> whole = project(*ops, *matrix, x, n);
    std::vector<float> some(size(n) * size(n_rows), NAN);
    ops->project_rows({x.data(), n, source.cols, nullptr, 0.0F}, *matrix, ranges, some.data());
    for (int t = 0; t < n; ++t) {
      int i = 0;
      for (const RowRange& range : ranges) {
        for (int r = range.begin; r < range.begin + range.count; ++r, ++i) {
          ASSERT_EQ(some[size(t) * size(n_rows) + size(i)], whole[size(t) * size(rows) + size(r)])
              << "n = " << n << ", row " << r;
        }
      }
    }
  }
}

TEST_P(Matmul, SwigluJoinsTheBitsOfTwoProducts) {
  const int rows = 70;
  const int cols = whole_blocks(512);
  const RandomMatrix gate_source = random_matrix(type(), rows, cols, 41);
  const RandomMatrix up_source = random_matrix(Type::F16, rows, cols, 42);  // types may differ
  ThreadPool pool(3);
  const auto ops = make_cpu_ops(pool, level());
  const auto gate = ops->pack(gate_source.source());
  const auto up = ops->pack(up_source.source());
  constexpr int kTokens = 30;
  std::vector<float> x = random_activations(size(kTokens) * size(cols), 43);
  for (float& v : x) v *= 0.01F;  // keeps e^-g from saturating everywhere
  std::vector<float> all(size(kTokens) * size(rows), NAN);
  ops->project_swiglu({x.data(), kTokens, cols, nullptr, 0.0F}, *gate, *up, all.data());
  const std::vector<float> g = project(*ops, *gate, x, kTokens);
  const std::vector<float> u = project(*ops, *up, x, kTokens);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const double exact = g[i] / (1.0 + std::exp(-static_cast<double>(g[i]))) * u[i];
    // e^-g to 2 ulp, then three roundings; beyond g = -88.7 e^-g is infinite and the result 0.
    ASSERT_NEAR(all[i], exact, 8.0 * kEpsilon * std::fabs(exact) + 1e-36 * std::fabs(u[i]))
        << g[i] << " " << u[i];
  }
  for (int n : {1, 2, 5, 9}) {
    std::vector<float> some(size(n) * size(rows), NAN);
    ops->project_swiglu({x.data(), n, cols, nullptr, 0.0F}, *gate, *up, some.data());
    ASSERT_TRUE(std::equal(some.begin(), some.end(), all.begin())) << "n = " << n;
  }
}

std::string test_name(const ::testing::TestParamInfo<Matmul::ParamType>& info) {
  std::string level(cpu_level_name(std::get<0>(info.param)));
  std::replace(level.begin(), level.end(), '-', '_');
  return level + "_" + std::string(quant::type_info(std::get<1>(info.param)).name);
}

INSTANTIATE_TEST_SUITE_P(Levels, Matmul,
                         ::testing::Combine(::testing::ValuesIn(available_cpu_levels().begin(),
                                                                available_cpu_levels().end()),
                                            ::testing::ValuesIn(kTypes)),
                         test_name);

class CpuLevels : public ::testing::TestWithParam<CpuLevel> {};

TEST_P(CpuLevels, ProjectsSeveralMatricesOfDifferentTypesAtOnceAndAdds) {
  constexpr int kCols = 512;
  constexpr int kTokens = 3;
  ThreadPool pool(4);
  const auto ops = make_cpu_ops(pool, GetParam());
  const std::vector<float> x = random_activations(size(kTokens) * kCols, 51);
  const Type types[] = {Type::Q4_K, Type::Q6_K, Type::F32, Type::Q8_0, Type::Q4_K};
  const int rows[] = {48, 17, 5, 64, 33};
  std::vector<std::unique_ptr<Matrix>> matrices;
  std::vector<std::vector<float>> outs;
  std::vector<std::vector<float>> expected;
  std::vector<Projection> projections;
  for (int i = 0; i < 5; ++i) {
    matrices.push_back(ops->pack(
        random_matrix(types[i], rows[i], kCols, 60U + static_cast<unsigned>(i)).source()));
    const bool add = i % 2 == 1;
    expected.push_back(project(*ops, *matrices.back(), x, kTokens));
    outs.emplace_back(expected.back().size(), 0.25F);
    if (add) {
      for (float& v : expected.back()) v += 0.25F;
    }
  }
  for (int i = 0; i < 5; ++i) {
    projections.push_back({matrices[size(i)].get(), outs[size(i)].data(), i % 2 == 1});
  }
  ops->project({x.data(), kTokens, kCols, nullptr, 0.0F}, projections);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(outs[size(i)], expected[size(i)]) << i;
}

TEST_P(CpuLevels, NormalisesInputsBeforeProjecting) {
  constexpr int kCols = 768;
  ThreadPool pool(2);
  const auto ops = make_cpu_ops(pool, GetParam());
  const auto matrix = ops->pack(random_matrix(Type::Q5_K, 40, kCols, 71).source());
  const std::vector<float> norm = random_activations(kCols, 72);
  for (int n : {1, 5, 20}) {
    const std::vector<float> x = random_activations(size(n) * kCols, 73);
    std::vector<float> normalised(x.size());
    ops->rms_norm({x.data(), n, kCols, norm.data(), 1e-6F}, normalised.data());
    const std::vector<float> expected = project(*ops, *matrix, normalised, n);
    std::vector<float> y(expected.size(), NAN);
    const Projection projection{matrix.get(), y.data(), false};
    ops->project({x.data(), n, kCols, norm.data(), 1e-6F}, {&projection, 1});
    EXPECT_EQ(y, expected) << n;
  }
}

TEST_P(CpuLevels, RmsNormEqualsItsFormulaAndMayWorkInPlace) {
  ThreadPool pool(3);
  const auto ops = make_cpu_ops(pool, GetParam());
  for (int width : {1, 15, 16, 64, 100, 1024, 4096}) {
    constexpr int kTokens = 37;
    const std::vector<float> norm = random_activations(size(width), 81);
    std::vector<float> x = random_activations(kTokens * size(width), 82);
    const std::vector<float> before = x;
    ops->rms_norm({x.data(), kTokens, width, norm.data(), 1e-5F}, x.data());
    for (int t = 0; t < kTokens; ++t) {
      double sum = 0.0;
      for (int k = 0; k < width; ++k) {
        const double v = before[size(t * width + k)];
        sum += v * v;
      }
      const double scale = 1.0 / std::sqrt(sum / width + static_cast<double>(1e-5F));
      for (int k = 0; k < width; ++k) {
        const double exact =
            before[size(t * width + k)] * scale * static_cast<double>(norm[size(k)]);
        // Half the relative error of a sum over 64 lanes, and three roundings.
        ASSERT_NEAR(x[size(t * width + k)], exact,
                    (width / 128.0 + 6.0) * kEpsilon * std::fabs(exact));
      }
    }
  }
}

TEST_P(CpuLevels, BlocksOfZerosAndTinyActivationsAreHarmless) {
  constexpr int kCols = 512;
  ThreadPool pool(1);
  const auto ops = make_cpu_ops(pool, GetParam());
  for (Type type : {Type::Q4_K, Type::Q6_K, Type::Q8_0, Type::IQ4_XS, Type::Q4_1}) {
    const auto matrix = ops->pack(random_matrix(type, 16, kCols, 91).source());
    std::vector<float> x(kCols, 0.0F);
    for (float v : project(*ops, *matrix, x, 1)) EXPECT_EQ(v, 0.0F);
    // Some of these count as zeros, because 127 / tiny would overflow.
    for (float tiny : {1e-45F, 1e-44F, 2.7e-43F, 1e-39F, 1e-36F, 7e-31F, 9e-31F}) {
      std::fill(x.begin(), x.end(), tiny);
      for (float v : project(*ops, *matrix, x, 1)) EXPECT_LE(std::fabs(v), 1e5F * tiny);
    }
  }
}

TEST_P(CpuLevels, PackedWeightsAreHardlyLargerThanTheFile) {
  ThreadPool pool(2);
  const auto ops = make_cpu_ops(pool, GetParam());
  for (Type type : {Type::Q4_K, Type::Q5_K, Type::Q6_K, Type::Q8_0}) {
    const RandomMatrix source = random_matrix(type, 64, 1024, 95);
    const auto matrix = ops->pack(source.source());
    EXPECT_LE(static_cast<double>(matrix->size_bytes()),
              1.04 * static_cast<double>(source.bytes.size()))
        << quant::type_info(type).name;
  }
}

TEST(MatmulLevels, VectorInstructionSetsAgreeBitForBit) {
  constexpr int kRows = 33;
  for (Type type : kTypes) {
    const int block = quant::type_info(type).block_elements;
    const RandomMatrix source = random_matrix(type, kRows, 768 / block * block, 101);
    for (int n : {3, 20}) {
      const std::vector<float> x = random_activations(size(n) * size(source.cols), 102);
      std::vector<float> first;
      for (CpuLevel level : available_cpu_levels()) {
        if (level == CpuLevel::Scalar) continue;  // rounds products and sums separately
        ThreadPool pool(1);
        const auto ops = make_cpu_ops(pool, level);
        const std::vector<float> y = project(*ops, *ops->pack(source.source()), x, n);
        if (first.empty()) first = y;
        EXPECT_EQ(y, first) << cpu_level_name(level) << " " << quant::type_info(type).name;
      }
    }
  }
}

std::string level_test_name(const ::testing::TestParamInfo<CpuLevel>& info) {
  std::string name(cpu_level_name(info.param));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuLevels,
                         ::testing::ValuesIn(available_cpu_levels().begin(),
                                             available_cpu_levels().end()),
                         level_test_name);

}  // namespace
}  // namespace foretoken::kernels
