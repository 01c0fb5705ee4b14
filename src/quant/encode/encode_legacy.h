// Q4_0, Q5_0 (codes around zero) and Q4_1, Q5_1 (codes above a minimum): blocks of 32 with one
// scale. Without importance the scale is that of the extremes; with it, it is searched for. Codes
// are those of the unrounded scale.
// Source: docs/quant-formats.md, "Making blocks".
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/blocks.h"
#include "quant/encode/search_affine.h"
#include "quant/encode/search_symmetric.h"
#include "quant/encode/tile.h"

namespace foretoken::quant {
namespace {

constexpr std::size_t kRowsTogether = 64;  // rows whose variances are known at one time

/// Mean square of each of n_rows rows, summed first to last; a lane is a row.
template <class V>
void row_variances(const float* x, std::size_t n_rows, std::size_t n_cols, float* out) {
  using F = typename V::F;
  for (std::size_t first = 0; first < n_rows; first += V::kLanes) {
    const float* rows[V::kLanes];
    for (std::size_t lane = 0; lane < V::kLanes; ++lane) {
      const std::size_t row = first + lane;
      rows[lane] = x + (row < n_rows ? row : n_rows - 1) * n_cols;
    }
    F sum = V::set(0.0F);
    for (std::size_t col = 0; col < n_cols; col += V::kLanes) {
      F columns[V::kLanes];
      V::load_columns(rows, col, columns);
      for (int i = 0; i < V::kLanes; ++i) sum = V::add(sum, V::mul(columns[i], columns[i]));
    }
    float means[V::kLanes];
    V::store(means, V::div(sum, V::set(static_cast<float>(n_cols))));
    for (std::size_t lane = 0; lane < V::kLanes && first + lane < n_rows; ++lane) {
      out[first + lane] = means[lane];
    }
  }
}

/// Calls encode(tile, x[32]) for every block, or encode(tile, x, w) where importance is known.
template <class V, int kBytes, class Plain, class Weighted>
void for_each_block_of_32(const EncodeJob& job, const Plain& plain, const Weighted& weighted) {
  using F = typename V::F;
  if (job.importance == nullptr) {
    for_each_tile<V, 32, kBytes>(job, [&](const Tile<V>& tile) {
      F x[32];
      gather<V>(tile.elements, 0, 32, x);
      plain(tile, x);
    });
    return;
  }
  for (std::size_t row = 0; row < job.n_rows; row += kRowsTogether) {
    EncodeJob part = job;
    part.n_rows = job.n_rows - row < kRowsTogether ? job.n_rows - row : kRowsTogether;
    part.x = job.x + row * job.n_cols;
    part.out = job.out + row * (job.n_cols / 32) * kBytes;
    float variances[kRowsTogether];
    row_variances<V>(part.x, part.n_rows, part.n_cols, variances);
    for_each_tile<V, 32, kBytes>(part, [&](const Tile<V>& tile) {
      F x[32];
      F w[32];
      float variance[V::kLanes];
      gather<V>(tile.elements, 0, 32, x);
      for (int lane = 0; lane < V::kLanes; ++lane) variance[lane] = variances[tile.rows[lane]];
      weigh_by_importance<V>(tile, 0, 32, x, V::load(variance), w);
      weighted(tile, x, w);
    });
  }
}

/// Truncated to a byte, as x86 converts: 0 for whatever does not fit.
template <class V>
typename V::I truncate_to_byte(typename V::F x) {
  return V::and_ints(V::truncate(x), V::set_int(255));
}

/// Bit 4 of 32 codes as a word.
template <class V>
void put_fifth_bits(const Tile<V>& tile, std::size_t offset, const typename V::I* codes) {
  typename V::I word = V::set_int(0);
  for (int e = 31; e >= 0; --e) {
    const auto bit = V::and_ints(V::template shift_right<4>(codes[e]), V::set_int(1));
    word = V::or_ints(V::template shift_left<1>(word), bit);
  }
  put<V, 4>(tile, offset, word);
}

/// Q4_0 and Q5_0: y = (q - 2^(kBits - 1)) * d.
template <class V, int kBits>
void encode_zero_centred(const EncodeJob& job) {
  using F = typename V::F;
  using I = typename V::I;
  constexpr int kM = 1 << (kBits - 1);
  constexpr int kBytes = kBits == 4 ? sizeof(BlockQ4_0) : sizeof(BlockQ5_0);
  const auto write = [](const Tile<V>& tile, F d, const I* codes) {
    put<V, 2>(tile, 0, V::to_f16(d));
    if constexpr (kBits == 5) put_fifth_bits<V>(tile, offsetof(BlockQ5_0, qh), codes);
    put_nibbles_of_32<V>(tile, kBytes - 16, codes);
  };
  const auto plain = [&write](const Tile<V>& tile, const F* x) {
    const F d = V::div(find_extreme<V>(x, 32).value, V::set(static_cast<float>(-kM)));
    const F inverse = divide_or_zero<V>(V::set(1.0F), d);
    const F middle = V::set(static_cast<float>(kM) + 0.5F);
    I codes[32];
    for (int e = 0; e < 32; ++e) {
      const I code = truncate_to_byte<V>(V::add(V::mul(x[e], inverse), middle));
      codes[e] = V::min_ints(V::low_i8(code), V::set_int(2 * kM - 1));
    }
    write(tile, d, codes);
  };
  const auto weighted = [&write](const Tile<V>& tile, const F* x, const F* w) {
    const SymmetricFit<V> fit = search_symmetric<V, 32>(kM, x, w);
    I codes[32];
    for (int e = 0; e < 32; ++e) codes[e] = symmetric_code<V>(fit, kM, x[e]);
    write(tile, fit.scale, codes);
  };
  for_each_block_of_32<V, kBytes>(job, plain, weighted);
}

/// Q4_1 and Q5_1: y = q * d + m.
template <class V, int kBits>
void encode_with_minimum(const EncodeJob& job) {
  using F = typename V::F;
  using I = typename V::I;
  constexpr int kMaxCode = (1 << kBits) - 1;
  constexpr int kBytes = kBits == 4 ? sizeof(BlockQ4_1) : sizeof(BlockQ5_1);
  const auto write = [](const Tile<V>& tile, F d, F low, const I* codes) {
    put<V, 2>(tile, 0, V::to_f16(d));
    put<V, 2>(tile, 2, V::to_f16(low));
    if constexpr (kBits == 5) put_fifth_bits<V>(tile, offsetof(BlockQ5_1, qh), codes);
    put_nibbles_of_32<V>(tile, kBytes - 16, codes);
  };
  const auto plain = [&write](const Tile<V>& tile, const F* x) {
    F low = x[0];
    F high = x[0];
    for (int e = 1; e < 32; ++e) {
      low = V::min(x[e], low);
      high = V::max(x[e], high);
    }
    const F d = V::div(V::sub(high, low), V::set(static_cast<float>(kMaxCode)));
    const F inverse = divide_or_zero<V>(V::set(1.0F), d);
    I codes[32];
    for (int e = 0; e < 32; ++e) {
      const F scaled = V::mul(V::sub(x[e], low), inverse);
      codes[e] = truncate_to_byte<V>(V::add(scaled, V::set(0.5F)));
      if constexpr (kBits == 4) codes[e] = V::min_ints(V::low_i8(codes[e]), V::set_int(kMaxCode));
    }
    write(tile, d, low, codes);
  };
  const auto weighted = [&write](const Tile<V>& tile, const F* x, const F* w) {
    const AffineFit<V> fit =
        search_affine<V, 32, AffineError::Square>(kMaxCode, x, w, kWeightedTrials);
    I codes[32];
    for (int e = 0; e < 32; ++e) codes[e] = affine_code<V>(fit, kMaxCode, x[e]);
    write(tile, fit.scale, V::negate(fit.minimum), codes);
  };
  for_each_block_of_32<V, kBytes>(job, plain, weighted);
}

}  // namespace
}  // namespace foretoken::quant
