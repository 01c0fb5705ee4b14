// The readable delta net by its identities: facts that follow from the formulas and need no other
// implementation.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/reference/mixer_scenarios.h"

namespace foretoken::kernels {
namespace {

using testing::DeltaNetLayer;
using testing::DeltaNetMemory;
using testing::Random;
using testing::run_delta_net;

std::size_t cell(const DeltaNetShape& shape, int head, int i, int column) {
  const int strip = head * (shape.d_v / 16) + column / 16;
  return static_cast<std::size_t>((strip * shape.d_k + i) * 16 + column % 16);
}

void fill(std::vector<float>& values, float x) { values.assign(values.size(), x); }

// A convolution that passes the current token on, unscaled.
void pass_through(DeltaNetLayer& layer) {
  for (std::size_t i = 0; i < layer.conv.size(); ++i) layer.conv[i] = i % 4 == 3 ? 1.0F : 0.0F;
}

TEST(ReferenceDeltaNet, WithoutDecayAndWritingKeepsTheState) {
  Random random(1);
  const DeltaNetShape shape{2, 4, 32, 32};
  DeltaNetLayer layer(random, shape, 6);
  fill(layer.a, 0.0F);         // g = 0
  fill(layer.beta, -1000.0F);  // sigmoid 0
  DeltaNetMemory memory(shape);
  for (float& x : memory.s) x = random.normal();
  const auto before = memory.s;
  run_delta_net(*make_reference_ops(), layer, memory, {0, 6, 0, true});
  EXPECT_EQ(memory.s, before);
}

TEST(ReferenceDeltaNet, FullWriteMakesTheKeyRecallTheValue) {
  Random random(2);
  const DeltaNetShape shape{2, 4, 32, 32};
  DeltaNetLayer layer(random, shape, 1);
  fill(layer.a, 0.0F);
  fill(layer.beta, 1000.0F);  // sigmoid 1
  DeltaNetMemory memory(shape);
  for (float& x : memory.s) x = random.normal();
  // The pending records show the k and v that were used.
  DeltaNetMemory recorded(shape);
  run_delta_net(*make_reference_ops(), layer, recorded, {0, 1, 0, false});
  run_delta_net(*make_reference_ops(), layer, memory, {0, 1, 0, true});
  for (int head = 0; head < 4; ++head) {
    for (int column = 0; column < 32; ++column) {
      double recalled = 0.0;
      for (int i = 0; i < 32; ++i) {
        recalled += memory.s[cell(shape, head, i, column)] *
                    recorded.k[static_cast<std::size_t>(head % 2 * 32 + i)];
      }
      // The key's norm is 1 only up to the 1e-6 under the root.
      EXPECT_NEAR(recalled, recorded.v[static_cast<std::size_t>(head * 32 + column)], 2e-5);
    }
  }
}

TEST(ReferenceDeltaNet, OneTokenByHand) {
  Random random(3);
  const DeltaNetShape shape{1, 1, 16, 16};
  DeltaNetLayer layer(random, shape, 1);
  pass_through(layer);
  fill(layer.qkv, 0.0F);
  layer.qkv[2] = 1000.0F;       // q = e_2 / sqrt(16)
  layer.qkv[16 + 2] = 1000.0F;  // k = e_2
  // v = silu(10) in column 0, silu(20) in column 1, 0 elsewhere; silu is nearly the identity here.
  layer.qkv[32] = 10.0F;
  layer.qkv[33] = 20.0F;
  fill(layer.beta, 0.0F);  // beta = 1/2
  fill(layer.a, -1.0F);    // g = -softplus(0) = -ln 2: the old state is halved
  fill(layer.alpha, 0.0F);
  fill(layer.dt_bias, 0.0F);
  fill(layer.norm, 1.0F);
  fill(layer.z, 1000.0F);  // silu(z) = 1000
  DeltaNetMemory memory(shape);
  memory.s[cell(shape, 0, 2, 0)] = 4.0F;
  memory.s[cell(shape, 0, 7, 5)] = 6.0F;
  const std::vector<float> out =
      run_delta_net(*make_reference_ops(), layer, memory, {0, 1, 0, true});
  // Row 2, column 0: 4 -> 2, then + (10 - 2) / 2 = 6. Column 1: (20 - 0) / 2 = 10. Row 7: 6 -> 3.
  EXPECT_NEAR(memory.s[cell(shape, 0, 2, 0)], 6.0F, 1e-3F);
  EXPECT_NEAR(memory.s[cell(shape, 0, 2, 1)], 10.0F, 1e-3F);
  EXPECT_NEAR(memory.s[cell(shape, 0, 7, 5)], 3.0F, 1e-6F);
  // o = (1.5, 2.5, 0, ...): mean of squares 8.5 / 16; out = o / sqrt(that) * 1000.
  const float scale = 1000.0F / std::sqrt(8.5F / 16.0F);
  EXPECT_NEAR(out[0], 1.5F * scale, 0.5F);
  EXPECT_NEAR(out[1], 2.5F * scale, 0.5F);
  EXPECT_NEAR(out[2], 0.0F, 1e-3F);
}

TEST(ReferenceDeltaNet, EarliestTapReadsThreeTokensBack) {
  Random random(4);
  const DeltaNetShape shape{1, 1, 16, 16};
  DeltaNetLayer layer(random, shape, 6);
  for (std::size_t i = 0; i < layer.conv.size(); ++i) layer.conv[i] = i % 4 == 0 ? 1.0F : 0.0F;
  DeltaNetMemory memory(shape);
  run_delta_net(*make_reference_ops(), layer, memory, {0, 6, 0, false});
  for (std::size_t t = 0; t < 6; ++t) {
    for (std::size_t i = 0; i < 16; ++i) {
      const float raw = t < 3 ? 0.0F : layer.qkv[(t - 3) * 48 + 32 + i];
      EXPECT_NEAR(memory.v[t * 16 + i], raw / (1.0F + std::exp(-raw)), 1e-6F);
    }
  }
}

TEST(ReferenceDeltaNet, RingHoldsRawInputs) {
  Random random(5);
  const DeltaNetShape shape{1, 2, 16, 16};
  const DeltaNetLayer layer(random, shape, 40);
  DeltaNetMemory memory(shape);
  run_delta_net(*make_reference_ops(), layer, memory, {0, 40, 0, true});
  const auto channels = static_cast<std::size_t>(shape.n_channels());
  for (std::size_t pos = 37; pos < 40; ++pos) {
    for (std::size_t i = 0; i < channels; ++i) {
      EXPECT_EQ(memory.ring[pos % kConvRing * channels + i], layer.qkv[pos * channels + i]);
    }
  }
}

TEST(ReferenceDeltaNet, ValueHeadReadsKeyHeadModulo) {
  Random random(6);
  const DeltaNetShape shape{3, 9, 16, 16};
  DeltaNetLayer layer(random, shape, 1);
  pass_through(layer);
  fill(layer.a, 0.0F);
  for (int head = 0; head < 3; ++head) {  // only key head 1 has a key
    for (int i = 0; i < 16; ++i) {
      if (head != 1) layer.qkv[static_cast<std::size_t>((3 + head) * 16 + i)] = 0.0F;
    }
  }
  DeltaNetMemory memory(shape);
  run_delta_net(*make_reference_ops(), layer, memory, {0, 1, 0, true});
  for (int head = 0; head < 9; ++head) {
    double weight = 0.0;
    for (int i = 0; i < 16; ++i) {
      for (int column = 0; column < 16; ++column) {
        weight += std::fabs(memory.s[cell(shape, head, i, column)]);
      }
    }
    EXPECT_EQ(weight > 0.0, head % 3 == 1) << head;
  }
}

TEST(ReferenceDeltaNet, FeedingTokensOneAtATimeEqualsFeedingThemTogether) {
  Random random(7);
  const DeltaNetShape shape{2, 6, 32, 16};
  const DeltaNetLayer layer(random, shape, 25);
  const auto ops = make_reference_ops();
  DeltaNetMemory together(shape);
  const std::vector<float> want = run_delta_net(*ops, layer, together, {0, 25, 0, true});
  DeltaNetMemory single(shape);
  std::vector<float> got;
  for (int t = 0; t < 25; ++t) {
    const std::vector<float> out = run_delta_net(*ops, layer, single, {t, 1, 0, true});
    got.insert(got.end(), out.begin(), out.end());
  }
  EXPECT_EQ(got, want);
  EXPECT_EQ(single.s, together.s);
}

TEST(ReferenceDeltaNet, FoldingTheAcceptedTokensEqualsNeverHavingDrafted) {
  Random random(8);
  const DeltaNetShape shape{2, 4, 16, 32};
  const auto ops = make_reference_ops();
  for (int accepted = 0; accepted <= 8; ++accepted) {
    const DeltaNetLayer layer(random, shape, 12);
    DeltaNetMemory plain(shape);
    std::vector<float> want = run_delta_net(*ops, layer, plain, {0, accepted + 1, 0, true});
    DeltaNetMemory drafted(shape);
    DeltaNetLayer guess = layer;
    const std::size_t wrong = static_cast<std::size_t>((accepted + 1) * shape.n_channels());
    for (std::size_t i = wrong; i < guess.qkv.size(); ++i) guess.qkv[i] = random.normal();
    run_delta_net(*ops, guess, drafted, {0, 9, 0, false});
    for (float x : drafted.s) ASSERT_EQ(x, 0.0F);  // the state waits for the verdict
    const std::vector<float> next =
        run_delta_net(*ops, layer, drafted, {accepted + 1, 1, accepted + 1, true});
    EXPECT_EQ(next, run_delta_net(*ops, layer, plain, {accepted + 1, 1, 0, true}));
    EXPECT_EQ(drafted.s, plain.s);
  }
}

}  // namespace
}  // namespace foretoken::kernels
