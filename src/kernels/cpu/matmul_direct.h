// Products with few tokens (decode, verification): memory-bound, so every weight is read once and
// decoded once, in registers, for all tokens of a strip.
//
// Order of operations per output element, the same everywhere: the exact integer dot product of a
// group of 16 or 32 columns, times the group's scale, added by one f32 fused multiply-add, groups
// in ascending order from zero; the sum of a 256-column tile then likewise, times d, tiles in
// ascending order; then the minima of the tile. 32-column blocks have one such step each. Floats:
// four sums by column mod 4, joined as (0 + 1) + (2 + 3).
//
// Lambdas carry the GNU spelling of always_inline: GCC takes the standard one, after the
// parameters, for an attribute of the type and ignores it.
#pragma once

#include "kernels/cpu/matmul_strips.h"

namespace foretoken::kernels {
namespace {

/// Adds the scaled dot products of one 32-column group of a super-block format to total[kWidth]. q:
/// [8][kWidth][4]; starts: of the group's parts of F::kGroup columns, [parts][kWidth].
template <class V, class F, int kWidth, int g>
[[gnu::always_inline]] inline void add_super_group(const typename F::Tile& tile, int slice,
                                                   const std::int8_t* q, const std::int32_t* starts,
                                                   typename V::Floats* total) {
  constexpr int kParts = 32 / F::kGroup;
  constexpr int kSteps = 8 / kParts;
  unroll<kParts>([&](auto part) __attribute__((always_inline)) {
    constexpr int kPart = decltype(part)::value;
    // A chain of kSteps dependent products outlasts the work of a few tokens: cut it in halves.
    constexpr int kChains = V::kIsLatencyBound && kWidth <= 3 ? 2 : 1;
    constexpr int kChainSteps = kSteps / kChains;
    typename V::Sum sums[kChains * kWidth];
    unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
      constexpr int c = decltype(column)::value;
      sums[c] = V::template start_sum<F::kMaxCode>(
          F::kHasMins ? V::zero_ints() : V::broadcast_int(starts + kPart * kWidth + c));
      if constexpr (kChains == 2)
        sums[kWidth + c] = V::template start_sum<F::kMaxCode>(V::zero_ints());
    });
    unroll<kSteps>([&](auto step) __attribute__((always_inline)) {
      constexpr int j = decltype(step)::value;
      constexpr int kVector = kSteps * kPart + j;
      const typename V::Bytes codes = F::template code<V, g, kVector>(tile, slice);
      unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
        constexpr int c = decltype(column)::value;
        V::template add_products<F::kMaxCode, j / kChains>(sums[j % kChains * kWidth + c], codes,
                                                           q + 4 * (kWidth * kVector + c));
      });
    });
    const typename V::Floats scale =
        V::to_floats(F::template scale<V>(tile, kParts * g + kPart, slice));
    unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
      constexpr int c = decltype(column)::value;
      typename V::Ints sum = V::template finish_sum<F::kMaxCode, kChainSteps>(sums[c]);
      if constexpr (kChains == 2) {
        sum = V::add_ints(sum, V::template finish_sum<F::kMaxCode, kChainSteps>(sums[kWidth + c]));
      }
      total[c] = V::multiply_add(V::to_floats(sum), scale, total[c]);
    });
  });
}

/// One slice of a row group times one strip, super-block formats.
template <class V, class F, int kWidth>
void multiply_super_slice(const typename F::Tile* tile, int n_tiles, int slice,
                          const std::int8_t* q, const float* d, const std::int32_t* correction,
                          float* out, std::ptrdiff_t out_stride) {
  constexpr int kPairs = 128 / F::kGroup;
  constexpr int kParts = 32 / F::kGroup;
  constexpr int kCorrections = F::kHasMins ? kPairs : 2 * kPairs;
  typename V::Floats y[kWidth];
  for (int c = 0; c < kWidth; ++c) y[c] = V::zero_floats();
  for (int b = 0; b < n_tiles; ++b, ++tile) {
    typename V::Floats total[kWidth];
    for (int c = 0; c < kWidth; ++c) total[c] = V::zero_floats();
    unroll<8>([&](auto group) __attribute__((always_inline)) {
      constexpr int g = decltype(group)::value;
      if (slice == 0) prefetch_part<typename F::Tile, 8, g>(tile);
      add_super_group<V, F, kWidth, g>(*tile, slice, q + 32 * kWidth * g,
                                       correction + (F::kHasMins ? 0 : kParts * kWidth * g), total);
    });
    const typename V::Floats scale = F::template d<V>(*tile, slice);
    for (int c = 0; c < kWidth; ++c) {
      y[c] = V::multiply_add(total[c], V::multiply(scale, V::broadcast_float(d + c)), y[c]);
    }
    if constexpr (F::kHasMins) {
      typename V::Ints mins_total[kWidth];
      for (int c = 0; c < kWidth; ++c) mins_total[c] = V::zero_ints();
      for (int pair = 0; pair < kPairs; ++pair) {
        const typename V::Ints mins = F::template mins<V>(*tile, pair, slice);
        for (int c = 0; c < kWidth; ++c) {
          mins_total[c] = V::add_pair_products(mins_total[c], mins,
                                               V::broadcast_int(correction + pair * kWidth + c));
        }
      }
      const typename V::Floats min_scale = F::template dmin<V>(*tile, slice);
      for (int c = 0; c < kWidth; ++c) {
        y[c] = V::subtract_product(y[c], V::to_floats(mins_total[c]),
                                   V::multiply(min_scale, V::broadcast_float(d + c)));
      }
    }
    q += 256 * kWidth;
    d += kWidth;
    correction += kCorrections * kWidth;
  }
  for (int c = 0; c < kWidth; ++c) V::store(out + c * out_stride, y[c]);
}

/// One slice of a row group times one strip, formats of 32-column blocks.
template <class V, class F, int kWidth>
void multiply_small_slice(const typename F::Tile* tile, int n_tiles, int slice,
                          const std::int8_t* q, const float* d, const std::int32_t* correction,
                          float* out, std::ptrdiff_t out_stride) {
  typename V::Floats y[kWidth];
  for (int c = 0; c < kWidth; ++c) y[c] = V::zero_floats();
  for (int b = 0; b < n_tiles; ++b, ++tile) {
    unroll<2>([&](auto index) __attribute__((always_inline)) {
      constexpr int kBlock = decltype(index)::value;
      if (slice == 0) prefetch_part<typename F::Tile, 2, kBlock>(tile);
      typename V::Sum sums[kWidth];
      unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
        constexpr int c = decltype(column)::value;
        sums[c] = V::template start_sum<F::kMaxCode>(
            F::kHasMins ? V::zero_ints() : V::broadcast_int(correction + c));
      });
      unroll<8>([&](auto step) __attribute__((always_inline)) {
        constexpr int j = decltype(step)::value;
        const typename V::Bytes codes = F::template code<V, kBlock, j>(*tile, slice);
        unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
          constexpr int c = decltype(column)::value;
          V::template add_products<F::kMaxCode, j>(sums[c], codes, q + 4 * (kWidth * j + c));
        });
      });
      const typename V::Floats scale = F::template d<V>(*tile, kBlock, slice);
      unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
        constexpr int c = decltype(column)::value;
        y[c] = V::multiply_add(V::to_floats(V::template finish_sum<F::kMaxCode, 8>(sums[c])),
                               V::multiply(scale, V::broadcast_float(d + c)), y[c]);
        if constexpr (F::kHasMins) {
          const auto* scaled_sums = reinterpret_cast<const float*>(correction);
          y[c] = V::multiply_add(F::template m<V>(*tile, kBlock, slice),
                                 V::broadcast_float(scaled_sums + c), y[c]);
        }
      });
      q += 32 * kWidth;
      d += kWidth;
      correction += kWidth;
    });
  }
  for (int c = 0; c < kWidth; ++c) V::store(out + c * out_stride, y[c]);
}

/// One slice of a row group times one strip, floats.
template <class V, class F, int kWidth>
void multiply_float_slice(const typename F::Tile* tile, int n_tiles, int slice, const float* x,
                          float* out, std::ptrdiff_t out_stride) {
  // Four arrays, not one of two dimensions: GCC 12 keeps larger ones in memory.
  typename V::Floats y0[kWidth];
  typename V::Floats y1[kWidth];
  typename V::Floats y2[kWidth];
  typename V::Floats y3[kWidth];
  unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
    constexpr int c = decltype(column)::value;
    y0[c] = y1[c] = y2[c] = y3[c] = V::zero_floats();
  });
  for (int b = 0; b < n_tiles; ++b, ++tile, x += 4 * kWidth) {
    if (slice == 0) prefetch_part<typename F::Tile, 1, 0>(tile);
    const auto add_column = [&](int k, typename V::Floats(&y)[kWidth])
        __attribute__((always_inline)) {
      const typename V::Floats w = F::template load<V>(*tile, k, slice);
      unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
        constexpr int c = decltype(column)::value;
        y[c] = V::multiply_add(w, V::broadcast_float(x + k * kWidth + c), y[c]);
      });
    };
    add_column(0, y0);
    add_column(1, y1);
    add_column(2, y2);
    add_column(3, y3);
  }
  unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
    constexpr int c = decltype(column)::value;
    V::store(out + c * out_stride, V::add(V::add(y0[c], y1[c]), V::add(y2[c], y3[c])));
  });
}

/// Every strip times every row group, one row group after the other: the second strip finds the row
/// group in cache. `one` does a slice of a row group times a strip of known width.
template <class V, class F, class One>
[[gnu::always_inline]] inline void for_each_slice(const MatmulTask& task, One&& one) {
  const auto* tiles = reinterpret_cast<const typename F::Tile*>(task.weights);
  for (int group = 0; group < task.n_groups; ++group, tiles += task.n_tiles) {
    for (int s = 0; s < task.in.strips.count; ++s) {
      const Strip strip = strip_at(task.in.strips, s);
      float* out = task.out + strip.begin * task.out_stride + kGroupRows * group;
      for (int slice = 0; slice < kGroupRows; slice += V::kRows) {
        with_width<V>(strip.width,
                      [&](auto width) { one(width, tiles, slice, strip, out + slice); });
      }
    }
  }
}

template <class V, class F>
void multiply_super_direct(const MatmulTask& task) {
  constexpr int kCorrections = (F::kHasMins ? 128 : 256) / F::kGroup;
  const std::ptrdiff_t n_tiles = task.n_tiles;
  for_each_slice<V, F>(
      task, [&](auto width, const typename F::Tile* tiles, int slice, Strip strip, float* out) {
        multiply_super_slice<V, F, decltype(width)::value>(
            tiles, task.n_tiles, slice, task.in.q + strip.begin * n_tiles * 256,
            task.in.d + strip.begin * n_tiles,
            task.in.correction + strip.begin * n_tiles * kCorrections, out, task.out_stride);
      });
}

template <class V, class F>
void multiply_small_direct(const MatmulTask& task) {
  const std::ptrdiff_t n_tiles = task.n_tiles;
  for_each_slice<V, F>(
      task, [&](auto width, const typename F::Tile* tiles, int slice, Strip strip, float* out) {
        multiply_small_slice<V, F, decltype(width)::value>(
            tiles, task.n_tiles, slice, task.in.q + strip.begin * n_tiles * 64,
            task.in.d + strip.begin * n_tiles * 2, task.in.correction + strip.begin * n_tiles * 2,
            out, task.out_stride);
      });
}

template <class V, class F>
void multiply_float_direct(const MatmulTask& task) {
  const std::ptrdiff_t n_tiles = task.n_tiles;
  for_each_slice<V, F>(task, [&](auto width, const typename F::Tile* tiles, int slice, Strip strip,
                                 float* out) {
    multiply_float_slice<V, F, decltype(width)::value>(
        tiles, task.n_tiles, slice, task.in.x + strip.begin * n_tiles * 4, out, task.out_stride);
  });
}

}  // namespace
}  // namespace foretoken::kernels
