// Matrix products and norms of the readable backend, by hand.
#include "kernels/reference/reference_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace foretoken::kernels {
namespace {

std::unique_ptr<Matrix> pack(Ops& ops, const std::vector<float>& values, int rows, int cols) {
  return ops.pack(
      {quant::Type::F32, rows, cols, reinterpret_cast<const std::byte*>(values.data())});
}

TEST(ReferenceOps, ProjectsEachRowOfTheInput) {
  ReferenceOps ops;
  const std::vector<float> w = {1, 2, 3, 4, 5, 6};  // [3, 2]
  const std::vector<float> x = {1, 10, -1, 1};      // [2, 2]
  const auto matrix = pack(ops, w, 3, 2);
  std::vector<float> out(6);
  const Projection projection{matrix.get(), out.data(), false};
  ops.project({x.data(), 2, 2}, {&projection, 1});
  EXPECT_EQ(out, (std::vector<float>{21, 43, 65, 1, 1, 1}));
  const Projection more{matrix.get(), out.data(), true};
  ops.project({x.data(), 2, 2}, {&more, 1});
  EXPECT_EQ(out, (std::vector<float>{42, 86, 130, 2, 2, 2}));
}

TEST(ReferenceOps, NormalisesByTheRootMeanSquare) {
  ReferenceOps ops;
  const std::vector<float> x = {3, 4, 0, 0};  // mean square 25/4
  const std::vector<float> norm = {1, 2, 1, 1};
  std::vector<float> out(4);
  ops.rms_norm({x.data(), 1, 4, norm.data(), 0.0F}, out.data());
  EXPECT_FLOAT_EQ(out[0], 1.2F);
  EXPECT_FLOAT_EQ(out[1], 3.2F);
  EXPECT_EQ(out[2], 0.0F);
}

TEST(ReferenceOps, EpsilonKeepsAZeroRowFinite) {
  ReferenceOps ops;
  std::vector<float> x(4);
  const std::vector<float> norm(4, 1.0F);
  ops.rms_norm({x.data(), 1, 4, norm.data(), 1e-6F}, x.data());  // in place
  EXPECT_EQ(x, std::vector<float>(4));
}

TEST(ReferenceOps, SwigluMultipliesByTheSigmoidOfTheGate) {
  ReferenceOps ops;
  const std::vector<float> gate_weights = {2, 0};
  const std::vector<float> up_weights = {0, 3};
  const auto gate = pack(ops, gate_weights, 1, 2);
  const auto up = pack(ops, up_weights, 1, 2);
  const std::vector<float> x = {1, 5};
  float out = 0.0F;
  ops.project_swiglu({x.data(), 1, 2}, *gate, *up, &out);
  EXPECT_FLOAT_EQ(out, 2.0F / (1.0F + std::exp(-2.0F)) * 15.0F);
}

TEST(ReferenceOps, SelectedRowsEqualThoseOfTheWholeProduct) {
  ReferenceOps ops;
  std::vector<float> w(64 * 4);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = std::sin(static_cast<float>(i));
  const std::vector<float> x = {0.3F, -1, 2, 0.7F, 1, 1, -2, 0.1F};
  const auto matrix = pack(ops, w, 64, 4);
  std::vector<float> whole(128);
  const Projection projection{matrix.get(), whole.data(), false};
  ops.project({x.data(), 2, 4}, {&projection, 1});
  const std::vector<RowRange> ranges = {{48, 16}, {0, 16}};
  std::vector<float> some(64);
  ops.project_rows({x.data(), 2, 4}, *matrix, ranges, some.data());
  for (std::size_t t = 0; t < 2; ++t) {
    for (std::size_t i = 0; i < 16; ++i) {
      EXPECT_EQ(some[t * 32 + i], whole[t * 64 + 48 + i]);
      EXPECT_EQ(some[t * 32 + 16 + i], whole[t * 64 + i]);
    }
  }
}

}  // namespace
}  // namespace foretoken::kernels
