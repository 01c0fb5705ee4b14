// The chunked form against the recurrence it rearranges.
#include "kernels/delta_net_chunked.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/reference/mixer_scenarios.h"

namespace foretoken::kernels {
namespace {

using testing::Random;

struct Head {
  int n;
  int d_k;
  int d_v;
  std::vector<float> q, k, v, beta, g;
};

Head random_head(Random& random, int n, int d_k, int d_v, float strongest) {
  Head head{n, d_k, d_v, {}, {}, {}, {}, {}};
  const auto rows = static_cast<std::size_t>(n);
  head.q = random.normals(rows * static_cast<std::size_t>(d_k));
  head.k = random.normals(head.q.size());
  head.v = random.normals(rows * static_cast<std::size_t>(d_v));
  for (auto* x : {&head.q, &head.k}) {
    for (std::size_t t = 0; t < rows; ++t) {
      float* row = x->data() + t * static_cast<std::size_t>(d_k);
      float sum = 0.0F;
      for (int i = 0; i < d_k; ++i) sum += row[i] * row[i];
      for (int i = 0; i < d_k; ++i) row[i] /= std::sqrt(sum);
    }
  }
  for (int t = 0; t < n; ++t) {
    head.beta.push_back(1.0F / (1.0F + std::exp(random.normal(2.0F))));
    // From no decay to the strongest, evenly in the logarithm.
    const float u = static_cast<float>(random.between(0, 1000)) / 1000.0F;
    head.g.push_back(random.between(0, 9) == 0 ? 0.0F : -strongest * std::pow(1e-5F, u));
  }
  return head;
}

// The recurrence as docs/delta-net.md states it, in double; s is [d_k][d_v].
std::vector<double> run_recurrence(const Head& head, std::vector<double>& s) {
  const auto d_k = static_cast<std::size_t>(head.d_k);
  const auto d_v = static_cast<std::size_t>(head.d_v);
  std::vector<double> out(static_cast<std::size_t>(head.n) * d_v);
  for (std::size_t t = 0; t < static_cast<std::size_t>(head.n); ++t) {
    for (double& cell : s) cell *= std::exp(static_cast<double>(head.g[t]));
    for (std::size_t c = 0; c < d_v; ++c) {
      double u = 0.0;
      for (std::size_t i = 0; i < d_k; ++i) u += s[i * d_v + c] * head.k[t * d_k + i];
      const double d = head.beta[t] * (head.v[t * d_v + c] - u);
      for (std::size_t i = 0; i < d_k; ++i) {
        s[i * d_v + c] += head.k[t * d_k + i] * d;
        out[t * d_v + c] += s[i * d_v + c] * head.q[t * d_k + i];
      }
    }
  }
  return out;
}

void expect_close(const Head& head, int chunk) {
  const auto d_k = static_cast<std::size_t>(head.d_k);
  const auto d_v = static_cast<std::size_t>(head.d_v);
  std::vector<double> exact(d_k * d_v);
  std::vector<float> s(d_k * d_v);
  Random random(99);
  for (std::size_t i = 0; i < d_k; ++i) {
    for (std::size_t c = 0; c < d_v; ++c) {
      const float value = random.normal();
      exact[i * d_v + c] = value;
      s[(c / 16 * d_k + i) * 16 + c % 16] = value;
    }
  }
  const std::vector<double> want = run_recurrence(head, exact);
  std::vector<float> got(want.size());
  std::vector<float> scratch(delta_net_chunked_floats(chunk, head.d_v));
  delta_net_chunked({.q = head.q.data(),
                     .k = head.k.data(),
                     .v = head.v.data(),
                     .beta = head.beta.data(),
                     .g = head.g.data(),
                     .n = head.n,
                     .d_k = head.d_k,
                     .d_v = head.d_v,
                     .chunk = chunk,
                     .s = s.data(),
                     .out = got.data()},
                    scratch);
  // 1e-4 of the largest entry: the bound asked of any rearrangement in f32.
  double largest = 0.0;
  for (double x : want) largest = std::max(largest, std::fabs(x));
  for (std::size_t i = 0; i < want.size(); ++i) {
    ASSERT_LE(std::fabs(got[i] - want[i]), 1e-4 * largest) << "chunk " << chunk << ", entry " << i;
  }
  double largest_cell = 0.0;
  for (double x : exact) largest_cell = std::max(largest_cell, std::fabs(x));
  for (std::size_t i = 0; i < d_k; ++i) {
    for (std::size_t c = 0; c < d_v; ++c) {
      ASSERT_LE(std::fabs(s[(c / 16 * d_k + i) * 16 + c % 16] - exact[i * d_v + c]),
                1e-4 * largest_cell);
    }
  }
}

TEST(DeltaNetChunked, AgreesWithTheRecurrence) {
  Random random(1);
  for (int chunk : {1, 16, 32, 64}) {
    for (int n : {1, 5, 16, 63, 64, 65, 150}) {
      expect_close(random_head(random, n, 64, 64, 1.0F), chunk);
      expect_close(random_head(random, n, 128, 32, 20.0F), chunk);
    }
  }
}

TEST(DeltaNetChunked, SurvivesTheStrongestDecay) {
  Random random(2);
  for (int chunk : {16, 32, 64}) {
    Head head = random_head(random, 100, 64, 32, 80.0F);
    expect_close(head, chunk);
    for (std::size_t t = 0; t < head.g.size(); ++t) head.g[t] = t % 2 != 0 ? -80.0F : -1e-4F;
    expect_close(head, chunk);
    for (float& g : head.g) g = -80.0F;
    expect_close(head, chunk);
  }
}

TEST(DeltaNetChunked, WithoutTokensChangesNothing) {
  std::vector<float> s(16 * 16, 2.0F);
  std::vector<float> scratch(delta_net_chunked_floats(16, 16));
  delta_net_chunked({.n = 0, .d_k = 16, .d_v = 16, .chunk = 16, .s = s.data()}, scratch);
  EXPECT_EQ(s, std::vector<float>(16 * 16, 2.0F));
}

}  // namespace
}  // namespace foretoken::kernels
