// The mixers of every instruction set against the reference, and the promise that a row's bits
// depend on nothing but its own inputs: not on batch, threads, call boundaries or replay.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <span>

#include "base/thread_pool.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/mixer_table.h"
#include "kernels/kv_codec.h"
#include "kernels/reference/mixer_scenarios.h"

namespace foretoken::kernels {
namespace {

using quant::Type;
using testing::AttentionLayer;
using testing::AttentionMemory;
using testing::AttentionShape;
using testing::DeltaNetLayer;
using testing::DeltaNetMemory;
using testing::Random;
using testing::run_attend;
using testing::run_delta_net;
using testing::run_store;

constexpr float kEpsilon = 0x1p-24F;  // half a unit in the last place of f32
constexpr Type kKvTypes[] = {Type::F32, Type::F16, Type::BF16, Type::Q8_0, Type::Q4_0};
constexpr int kBatches[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 40};

// Levels whose mixers differ: those with VNNI share the AVX-512 ones.
std::vector<CpuLevel> mixer_levels() {
  std::vector<CpuLevel> levels;
  for (CpuLevel level : available_cpu_levels()) {
    if (level != CpuLevel::Avx512Vnni) levels.push_back(level);
  }
  return levels;
}

class Mixer : public ::testing::TestWithParam<CpuLevel> {};

template <class Values>
float largest_of(const Values& values) {
  float largest = 0.0F;
  for (float v : values) largest = std::max(largest, std::fabs(v));
  return largest;
}

// Largest difference, infinite if either side has a NaN.
template <class Values>
float distance(const Values& a, const Values& b) {
  if (a.size() != b.size()) return std::numeric_limits<float>::infinity();
  float largest = 0.0F;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float d = std::fabs(a[i] - b[i]);
    if (std::isnan(d)) return std::numeric_limits<float>::infinity();
    largest = std::max(largest, d);
  }
  return largest;
}

void append(std::vector<float>& to, const std::vector<float>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

template <class Values>
bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
           return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
         });
}

// ---- elementary functions

// Units in the last place of f32 between a value and the double it should be.
double ulps(float got, double want) {
  const int exponent = std::max(std::ilogb(want), -126);
  return std::fabs(static_cast<double>(got) - want) / std::ldexp(1.0, exponent - 23);
}

#if defined(__x86_64__)
TEST(MixerLevels, VnniSharesTheAvx512Mixers) {
  EXPECT_EQ(&mixer_table(CpuLevel::Avx512Vnni), &mixer_table(CpuLevel::Avx512));
}
#endif

TEST_P(Mixer, ElementaryFunctionsAreWithinTwoUnits) {
  const MixerTable& table = mixer_table(GetParam());
  double worst[4] = {};
  for (float x = -87.0F; x < 88.0F; x += 0.00737F) {
    float in[16];
    float out[4][16];
    for (int i = 0; i < 16; ++i) in[i] = x + static_cast<float>(i) * 0.00046F;
    table.elementary(in, out[0]);
    for (int i = 0; i < 16; ++i) {
      const double v = in[i];
      const double want[4] = {std::exp(v), 1.0 / (1.0 + std::exp(-v)), v / (1.0 + std::exp(-v)),
                              std::log1p(std::exp(v))};
      for (int f = 0; f < 4; ++f) {
        if (want[f] != 0.0) worst[f] = std::max(worst[f], ulps(out[f][i], want[f]));
      }
    }
  }
  // The level without fused multiply-add rounds every product too.
  const double limit = GetParam() == CpuLevel::Scalar ? 3.0 : 2.0;
  EXPECT_LE(worst[0], limit) << "exp";
  EXPECT_LE(worst[1], limit + 1.0) << "sigmoid: exp, an addition and a division";
  EXPECT_LE(worst[2], limit + 1.0) << "silu";
  EXPECT_LE(worst[3], limit + 1.0) << "softplus";
}

TEST_P(Mixer, ElementaryFunctionsHaveTheirLimits) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float in[16] = {0.0F,    1000.0F, -1000.0F, infinity, -infinity, std::nanf(""),
                        88.7F,   -103.0F, 20.5F,    90.0F,    -90.0F,    -104.0F,
                        -100.0F, -0.0F,   1e-30F,   3e38F};
  float out[4][16];
  mixer_table(GetParam()).elementary(in, out[0]);
  EXPECT_EQ(out[0][0], 1.0F);
  EXPECT_EQ(out[0][1], infinity);
  EXPECT_EQ(out[0][2], 0.0F);
  EXPECT_EQ(out[0][3], infinity);
  EXPECT_EQ(out[0][4], 0.0F);
  EXPECT_TRUE(std::isnan(out[0][5]));
  EXPECT_TRUE(std::isfinite(out[0][6]));
  EXPECT_GT(out[0][7], 0.0F);  // subnormal
  EXPECT_EQ(out[1][0], 0.5F);
  EXPECT_EQ(out[1][1], 1.0F);
  EXPECT_EQ(out[1][2], 0.0F);
  EXPECT_EQ(out[2][2], 0.0F);
  EXPECT_EQ(out[2][1], 1000.0F);
  EXPECT_FLOAT_EQ(out[3][0], 0.693147181F);
  EXPECT_EQ(out[3][1], 1000.0F);
  EXPECT_EQ(out[3][8], 20.5F);
  for (int f = 0; f < 4; ++f) EXPECT_TRUE(std::isnan(out[f][5])) << f;
}

TEST_P(Mixer, ElementaryBitsDoNotDependOnTheLane) {
  Random random(5);
  for (int round = 0; round < 200; ++round) {
    float in[16];
    for (float& x : in) x = random.normal(20.0F);
    float straight[4][16];
    float turned[4][16];
    mixer_table(GetParam()).elementary(in, straight[0]);
    std::reverse(in, in + 16);
    mixer_table(GetParam()).elementary(in, turned[0]);
    for (int f = 0; f < 4; ++f) {
      for (int i = 0; i < 16; ++i) ASSERT_EQ(straight[f][i], turned[f][15 - i]);
    }
  }
}

// ---- delta net

constexpr DeltaNetShape kDeltaShapes[] = {
    {2, 2, 64, 64}, {2, 4, 64, 64}, {2, 6, 32, 48}, {4, 8, 128, 128}, {1, 1, 16, 16}};

TEST_P(Mixer, DeltaNetAgreesWithTheReference) {
  Random random(1);
  ThreadPool pool(2);
  const auto ops = make_cpu_ops(pool, GetParam());
  const auto reference = make_reference_ops();
  for (const DeltaNetShape& shape : kDeltaShapes) {
    for (int n : kBatches) {
      const DeltaNetLayer layer(random, shape, 2 * n);
      DeltaNetMemory fast(shape);
      DeltaNetMemory exact(shape);
      for (int first : {0, n}) {
        const std::vector<float> got = run_delta_net(*ops, layer, fast, {first, n, 0, true});
        const std::vector<float> want =
            run_delta_net(*reference, layer, exact, {first, n, 0, true});
        // Every token adds at most the rounding of two sums over d_k to a state that never grows
        // (the update contracts); l2 norm, exponentials and the output norm add a few units more.
        const float tolerance = kEpsilon * static_cast<float>((first + n) * 2 * shape.d_k + 64);
        EXPECT_LE(distance(got, want), tolerance * largest_of(want)) << shape.d_k << " n=" << n;
        EXPECT_LE(distance(fast.s, exact.s), tolerance * largest_of(exact.s));
      }
      EXPECT_EQ(fast.ring, exact.ring);
    }
  }
}

TEST_P(Mixer, DeltaNetPendingRecordsAgreeWithTheReference) {
  Random random(2);
  ThreadPool pool(2);
  const auto ops = make_cpu_ops(pool, GetParam());
  const auto reference = make_reference_ops();
  const DeltaNetShape shape{2, 4, 64, 64};
  const DeltaNetLayer layer(random, shape, 9);
  DeltaNetMemory fast(shape);
  DeltaNetMemory exact(shape);
  run_delta_net(*ops, layer, fast, {0, 9, 0, false});
  run_delta_net(*reference, layer, exact, {0, 9, 0, false});
  EXPECT_EQ(largest_of(fast.s), 0.0F);  // nothing is committed yet
  const float tolerance = kEpsilon * 64;
  EXPECT_LE(distance(fast.k, exact.k), tolerance * largest_of(exact.k));
  EXPECT_LE(distance(fast.v, exact.v), tolerance * largest_of(exact.v));
  EXPECT_LE(distance(fast.beta, exact.beta), tolerance);
  EXPECT_LE(distance(fast.g, exact.g), tolerance * largest_of(exact.g));
}

TEST_P(Mixer, DeltaNetBitsDoNotDependOnCallsOrThreads) {
  Random random(3);
  for (const DeltaNetShape& shape : kDeltaShapes) {
    const int n_tokens = 150;  // more than two blocks of the recurrence
    const DeltaNetLayer layer(random, shape, n_tokens);
    ThreadPool alone(1);
    const auto single = make_cpu_ops(alone, GetParam());
    DeltaNetMemory whole(shape);
    const std::vector<float> want = run_delta_net(*single, layer, whole, {0, n_tokens, 0, true});
    for (int threads = 1; threads <= 4; ++threads) {
      ThreadPool pool(threads);
      const auto ops = make_cpu_ops(pool, GetParam());
      DeltaNetMemory pieces(shape);
      std::vector<float> got;
      for (int first = 0; first < n_tokens;) {
        const int n = std::min(n_tokens - first, random.between(1, random.between(0, 3) ? 12 : 90));
        append(got, run_delta_net(*ops, layer, pieces, {first, n, 0, true}));
        first += n;
      }
      EXPECT_TRUE(same_bits(got, want)) << threads;
      EXPECT_TRUE(same_bits(pieces.s, whole.s)) << threads;
    }
  }
}

TEST_P(Mixer, DeltaNetReplayEqualsNeverDrafted) {
  Random random(4);
  ThreadPool pool(3);
  const auto ops = make_cpu_ops(pool, GetParam());
  for (const DeltaNetShape& shape : kDeltaShapes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const int n_tokens = 60;  // sanitized programs are ten times slower
#else
    const int n_tokens = 220;
#endif
    // The true sequence; drafts that turn out wrong come from another one.
    const DeltaNetLayer truth(random, shape, n_tokens);
    DeltaNetMemory plain(shape);
    std::vector<float> want;
    for (int t = 0; t < n_tokens; ++t) {
      append(want, run_delta_net(*ops, truth, plain, {t, 1, 0, true}));
    }
    DeltaNetMemory replayed(shape);
    const auto v_width = static_cast<std::size_t>(shape.n_v_heads * shape.d_v);
    std::vector<float> got;
    int pos = 0;
    int n_fold = 0;
    while (pos < n_tokens) {
      const int n = std::min(n_tokens - pos, random.between(1, kMaxPending));
      const int kept = random.between(1, n);
      DeltaNetLayer guess = truth;
      const auto first_wrong = static_cast<std::size_t>(pos + kept);
      const auto channels = static_cast<std::size_t>(shape.n_channels());
      for (std::size_t i = first_wrong * channels; i < guess.qkv.size(); ++i) {
        guess.qkv[i] = random.normal();
      }
      const std::vector<float> out = run_delta_net(*ops, guess, replayed, {pos, n, n_fold, false});
      got.insert(got.end(), out.data(), out.data() + static_cast<std::size_t>(kept) * v_width);
      pos += kept;
      n_fold = kept;
    }
    run_delta_net(*ops, truth, replayed, {n_tokens, 0, n_fold, true});  // flush
    EXPECT_TRUE(same_bits(got, want));
    EXPECT_TRUE(same_bits(replayed.s, plain.s));
  }
}

TEST_P(Mixer, DeltaNetFoldsBeforeALongCommittedStretch) {
  Random random(6);
  ThreadPool pool(2);
  const auto ops = make_cpu_ops(pool, GetParam());
  const DeltaNetShape shape{2, 4, 64, 64};
  const DeltaNetLayer layer(random, shape, 200);
  DeltaNetMemory plain(shape);
  const std::vector<float> want = run_delta_net(*ops, layer, plain, {0, 200, 0, true});
  DeltaNetMemory folded(shape);
  std::vector<float> got = run_delta_net(*ops, layer, folded, {0, 9, 0, false});
  append(got, run_delta_net(*ops, layer, folded, {9, 191, 9, true}));
  EXPECT_TRUE(same_bits(got, want));
  EXPECT_TRUE(same_bits(folded.s, plain.s));
}

TEST_P(Mixer, DeltaNetStaysFiniteWithExtremeGates) {
  Random random(7);
  ThreadPool pool(1);
  const auto ops = make_cpu_ops(pool, GetParam());
  const DeltaNetShape shape{1, 2, 64, 64};
  DeltaNetLayer layer(random, shape, 64);
  for (std::size_t i = 0; i < layer.alpha.size(); ++i) {
    constexpr float kExtremes[] = {80.0F, -80.0F, 1e4F, -1e4F, 0.0F};
    layer.alpha[i] = kExtremes[i % 5];
    layer.beta[i] = kExtremes[(i + 2) % 5];
  }
  for (std::size_t i = 0; i < layer.z.size(); i += 7) layer.z[i] = i % 2 != 0 ? 1e4F : -1e4F;
  // A head without any key: its l2 norm divides by the root of 1e-6, not by zero.
  for (std::size_t i = 0; i < layer.qkv.size(); i += 3) layer.qkv[i] = 0.0F;
  DeltaNetMemory memory(shape);
  for (float value : run_delta_net(*ops, layer, memory, {0, 64, 0, true})) {
    ASSERT_TRUE(std::isfinite(value));
  }
  for (float value : memory.s) ASSERT_TRUE(std::isfinite(value));
}

// ---- attention

// A score is a chain of head_dim products of unit-size numbers, scaled: its error is at most
// head_dim * epsilon * sqrt(head_dim) * (norm weights)^2. A weight inherits twice that, the sum
// over keys adds one rounding per 32 keys, elementary functions a few units.
float attention_tolerance(const AttentionShape& shape, int n_keys) {
  const auto d = static_cast<float>(shape.head_dim);
  return kEpsilon * (2.0F * d * std::sqrt(d) + static_cast<float>(n_keys) + 32.0F);
}

// All levels in one test: most of the time is the reference's, which they share.
TEST(MixerLevels, AttendAgreesWithTheReference) {
  Random random(11);
  ThreadPool pool(3);
  std::vector<std::unique_ptr<Ops>> levels;
  for (CpuLevel level : mixer_levels()) levels.push_back(make_cpu_ops(pool, level));
  const auto reference = make_reference_ops();
  constexpr int kContexts[] = {0, 1, 15, 16, 31, 33, 200, 511, 512, 513, 700, 1100};
  constexpr int kDims[] = {64, 128, 256, 32};
  int round = 0;
  std::size_t context_index = 0;
  for (int context : kContexts) {
    // Every other batch size, the others at the next context: the reference is slow.
    for (std::size_t i = context_index++ % 2; i < std::size(kBatches); i += 2) {
      const int n = kBatches[i];
      AttentionShape shape;
      const bool wide = random.between(0, 3) == 0 && context + n < 600;
      shape.n_heads = wide ? 16 : 4;
      shape.n_kv_heads = wide ? 4 : 2;
      shape.head_dim = kDims[round % 4];
      shape.n_pairs = shape.head_dim / 8;
      shape.key_type = kKvTypes[round % 5];
      shape.value_type = kKvTypes[round / 5 % 5];
      ++round;
      const AttentionLayer layer(random, shape, context + n);
      AttentionMemory memory(shape, context + n);
      run_store(*reference, layer, memory, 0, context + n);
      const std::vector<float> want = run_attend(*reference, layer, memory, context, n);
      const float tolerance = attention_tolerance(shape, context + n) * largest_of(layer.v);
      for (const auto& ops : levels) {
        const std::vector<float> got = run_attend(*ops, layer, memory, context, n);
        ASSERT_LE(distance(got, want), tolerance) << ops->name() << ", context " << context
                                                  << ", n " << n << ", head_dim " << shape.head_dim;
      }
    }
  }
}

TEST_P(Mixer, StoreAgreesWithTheReferenceToOneStepOfTheType) {
  Random random(12);
  ThreadPool pool(2);
  const auto ops = make_cpu_ops(pool, GetParam());
  const auto reference = make_reference_ops();
  for (Type type : kKvTypes) {
    AttentionShape shape;
    shape.key_type = shape.value_type = type;
    const AttentionLayer layer(random, shape, 40);
    AttentionMemory fast(shape, 40);
    AttentionMemory exact(shape, 40);
    run_store(*ops, layer, fast, 0, 23);
    run_store(*ops, layer, fast, 23, 17);
    run_store(*reference, layer, exact, 0, 40);
    EXPECT_EQ(fast.values(), exact.values());  // rounded from the same f32
    // Keys differ by f32 rounding before they are rounded to the type: one step where that tips.
    const float step = type == Type::Q4_0   ? 1.0F / 7.0F
                       : type == Type::Q8_0 ? 1.0F / 126.0F
                       : type == Type::BF16 ? 0x1p-7F
                       : type == Type::F16  ? 0x1p-10F
                                            : 0x1p-20F;
    for (int pos = 0; pos < 40; ++pos) {
      std::vector<float> got(64);
      std::vector<float> want(64);
      decode_key(type, fast.view.key_tile(1, pos / 16), 64, pos % 16, got.data());
      decode_key(type, exact.view.key_tile(1, pos / 16), 64, pos % 16, want.data());
      EXPECT_LE(distance(got, want), step * largest_of(want));
    }
  }
}

TEST_P(Mixer, AttendBitsDoNotDependOnCallsOrThreads) {
  Random random(13);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int kRounds = 1;  // sanitized programs are ten times slower
  constexpr int kMostTokens = 600;
#else
  constexpr int kRounds = 5;
  constexpr int kMostTokens = 1150;
#endif
  for (int round = 0; round < kRounds; ++round) {
    AttentionShape shape;
    shape.n_heads = round % 2 != 0 ? 16 : 4;
    shape.n_kv_heads = round % 2 != 0 ? 4 : 2;
    shape.head_dim = round % 3 == 0 ? 128 : 64;
    shape.key_type = kKvTypes[round % 5];
    shape.value_type = kKvTypes[(round + 2) % 5];
    const int n_tokens = random.between(500, round % 2 != 0 ? 700 : kMostTokens);
    const AttentionLayer layer(random, shape, n_tokens);
    ThreadPool alone(1);
    const auto single = make_cpu_ops(alone, GetParam());
    AttentionMemory memory(shape, n_tokens);
    run_store(*single, layer, memory, 0, n_tokens);
    const std::vector<float> want = run_attend(*single, layer, memory, 0, n_tokens);
    for (int threads = 1; threads <= 4; threads += kRounds == 1 ? 3 : 1) {
      ThreadPool pool(threads);
      const auto ops = make_cpu_ops(pool, GetParam());
      AttentionMemory grown(shape, n_tokens);
      std::vector<float> got;
      for (int first = 0; first < n_tokens;) {
        const int n = std::min(n_tokens - first, random.between(1, random.between(0, 2) ? 9 : 150));
        run_store(*ops, layer, grown, first, n);
        append(got, run_attend(*ops, layer, grown, first, n));
        first += n;
      }
      EXPECT_TRUE(same_bits(got, want)) << threads << " threads, round " << round;
      EXPECT_EQ(grown.keys(), memory.keys());
      EXPECT_EQ(grown.values(), memory.values());
    }
  }
}

TEST_P(Mixer, AttendNeverTouchesWhatARowMayNotSee) {
  Random random(14);
  ThreadPool pool(2);
  const auto ops = make_cpu_ops(pool, GetParam());
  AttentionShape shape;
  shape.key_type = shape.value_type = Type::F32;
  const int n_tokens = 70;
  AttentionLayer layer(random, shape, n_tokens);
  AttentionMemory clean(shape, n_tokens);
  run_store(*ops, layer, clean, 0, n_tokens);
  const std::vector<float> want = run_attend(*ops, layer, clean, 0, n_tokens);
  // The last 30 tokens go bad; the rows before them are computed in the same call.
  const std::size_t first_bad = 40 * 2 * 64;
  for (std::size_t i = first_bad; i < layer.v.size(); ++i) {
    layer.v[i] = std::numeric_limits<float>::infinity();
    layer.k[i] = std::nanf("");
  }
  AttentionMemory dirty(shape, n_tokens);
  run_store(*ops, layer, dirty, 0, n_tokens);
  const std::vector<float> got = run_attend(*ops, layer, dirty, 0, n_tokens);
  const std::size_t good = 40 * 4 * 64;
  EXPECT_TRUE(same_bits(std::span(got).first(good), std::span(want).first(good)));
}

TEST_P(Mixer, AttendStaysFiniteWithExtremeScores) {
  Random random(15);
  ThreadPool pool(2);
  const auto ops = make_cpu_ops(pool, GetParam());
  AttentionShape shape;
  AttentionLayer layer(random, shape, 600);
  for (float& w : layer.q_norm) w *= 1e6F;  // scores of a million: all weight on one key
  AttentionMemory memory(shape, 600);
  run_store(*ops, layer, memory, 0, 600);
  for (float value : run_attend(*ops, layer, memory, 595, 5)) ASSERT_TRUE(std::isfinite(value));
}

INSTANTIATE_TEST_SUITE_P(Levels, Mixer, ::testing::ValuesIn(mixer_levels()), [](const auto& param) {
  std::string name(cpu_level_name(param.param));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace foretoken::kernels
