// The readable attention by its identities.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kv_codec.h"
#include "kernels/reference/mixer_scenarios.h"

namespace foretoken::kernels {
namespace {

using quant::Type;
using testing::AttentionLayer;
using testing::AttentionMemory;
using testing::AttentionShape;
using testing::Random;
using testing::run_attend;
using testing::run_store;

AttentionShape exact_shape() {
  AttentionShape shape;
  shape.key_type = shape.value_type = Type::F32;
  return shape;
}

// Sets the gate half of every head of every token.
void set_gates(AttentionLayer& layer, float value) {
  const auto d = static_cast<std::size_t>(layer.shape.head_dim);
  for (std::size_t i = 0; i < layer.q_gate.size(); ++i) {
    if (i / d % 2 == 1) layer.q_gate[i] = value;
  }
}

TEST(ReferenceAttention, ZeroGateHalvesTheOutput) {
  Random random(1);
  AttentionLayer layer(random, exact_shape(), 20);
  AttentionMemory memory(layer.shape, 20);
  const auto ops = make_reference_ops();
  run_store(*ops, layer, memory, 0, 20);
  set_gates(layer, 1000.0F);  // fully open
  const std::vector<float> open = run_attend(*ops, layer, memory, 0, 20);
  set_gates(layer, 0.0F);
  const std::vector<float> half = run_attend(*ops, layer, memory, 0, 20);
  for (std::size_t i = 0; i < open.size(); ++i) EXPECT_EQ(half[i], open[i] * 0.5F);
}

TEST(ReferenceAttention, FirstTokenReturnsItsOwnValue) {
  Random random(2);
  AttentionLayer layer(random, exact_shape(), 1);
  set_gates(layer, 1000.0F);
  AttentionMemory memory(layer.shape, 1);
  const auto ops = make_reference_ops();
  run_store(*ops, layer, memory, 0, 1);
  const std::vector<float> out = run_attend(*ops, layer, memory, 0, 1);
  for (int head = 0; head < 4; ++head) {  // two query heads per value head, neighbours
    for (int i = 0; i < 64; ++i) {
      EXPECT_EQ(out[static_cast<std::size_t>(head * 64 + i)],
                layer.v[static_cast<std::size_t>(head / 2 * 64 + i)]);
    }
  }
}

TEST(ReferenceAttention, EqualKeysAverageTheValues) {
  Random random(3);
  AttentionLayer layer(random, exact_shape(), 37);
  std::fill(layer.q_norm.begin(), layer.q_norm.end(), 0.0F);  // every score is 0
  set_gates(layer, 1000.0F);
  AttentionMemory memory(layer.shape, 37);
  const auto ops = make_reference_ops();
  run_store(*ops, layer, memory, 0, 37);
  const std::vector<float> out = run_attend(*ops, layer, memory, 30, 1);
  for (int i = 0; i < 64; ++i) {
    double mean = 0.0;
    for (int j = 0; j <= 30; ++j) mean += layer.v[static_cast<std::size_t>(j * 128 + i)] / 31.0;
    EXPECT_NEAR(out[static_cast<std::size_t>(i)], mean, 1e-6);
  }
}

TEST(ReferenceAttention, ScoreDependsOnPositionsOnlyByTheirDifference) {
  Random random(4);
  AttentionLayer layer(random, exact_shape(), 12);
  const auto ops = make_reference_ops();
  AttentionMemory near(layer.shape, 12);
  run_store(*ops, layer, near, 0, 12);
  const std::vector<float> want = run_attend(*ops, layer, near, 0, 12);
  layer.set_positions(1000.0);
  AttentionMemory far(layer.shape, 12);
  run_store(*ops, layer, far, 0, 12);
  const std::vector<float> got = run_attend(*ops, layer, far, 0, 12);
  EXPECT_NE(near.keys(), far.keys());
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-4F);
}

TEST(ReferenceAttention, RotationLeavesTheUpperDimensionsAlone) {
  Random random(5);
  AttentionLayer layer(random, exact_shape(), 8);
  const auto ops = make_reference_ops();
  AttentionMemory rotated(layer.shape, 8);
  run_store(*ops, layer, rotated, 0, 8);
  std::fill(layer.cos.begin(), layer.cos.end(), 1.0F);
  std::fill(layer.sin.begin(), layer.sin.end(), 0.0F);
  AttentionMemory straight(layer.shape, 8);
  run_store(*ops, layer, straight, 0, 8);
  std::vector<float> a(64);
  std::vector<float> b(64);
  decode_key(Type::F32, rotated.view.key_tile(0, 0), 64, 7, a.data());
  decode_key(Type::F32, straight.view.key_tile(0, 0), 64, 7, b.data());
  EXPECT_TRUE(std::equal(a.begin() + 16, a.end(), b.begin() + 16));  // 8 pairs: dimensions 0 .. 15
  // A rotation: pair 0 joins dimensions 0 and 8 and keeps their length.
  EXPECT_NE(a[0], b[0]);
  EXPECT_NEAR(std::hypot(a[0], a[8]), std::hypot(b[0], b[8]), 1e-5F);
  EXPECT_NEAR(a[0], b[0] * std::cos(7.0F) - b[8] * std::sin(7.0F), 1e-5F);
}

TEST(ReferenceAttention, StoredKeysHaveUnitMeanSquare) {
  Random random(6);
  AttentionLayer layer(random, exact_shape(), 3);
  std::fill(layer.k_norm.begin(), layer.k_norm.end(), 1.0F);
  AttentionMemory memory(layer.shape, 3);
  run_store(*make_reference_ops(), layer, memory, 0, 3);
  std::vector<float> key(64);
  decode_key(Type::F32, memory.view.key_tile(1, 0), 64, 2, key.data());
  double sum = 0.0;
  for (float x : key) sum += static_cast<double>(x) * x;
  EXPECT_NEAR(sum / 64, 1.0, 1e-5);
}

TEST(ReferenceAttention, LaterPositionsContributeNothing) {
  Random random(7);
  const AttentionLayer layer(random, exact_shape(), 40);
  const auto ops = make_reference_ops();
  AttentionMemory memory(layer.shape, 40);
  run_store(*ops, layer, memory, 0, 21);
  const std::vector<float> want = run_attend(*ops, layer, memory, 20, 1);
  std::vector<float> bad(64, std::numeric_limits<float>::quiet_NaN());
  for (int pos = 21; pos < 40; ++pos) {
    for (int head = 0; head < 2; ++head) {
      encode_key(Type::F32, bad.data(), 64, pos % 16, memory.view.key_tile(head, pos / 16));
      encode_value(Type::F32, bad.data(), 64, pos % 16, memory.view.value_tile(head, pos / 16));
    }
  }
  EXPECT_EQ(run_attend(*ops, layer, memory, 20, 1), want);
}

}  // namespace
}  // namespace foretoken::kernels
