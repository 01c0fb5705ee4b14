// Products with many tokens (prefill): arithmetic-bound, so a few hundred columns of one or two row
// groups are decoded once into a panel that stays in the first-level cache, and every strip is
// multiplied with it before the next columns are decoded. Sums between panels wait in the output:
// they are the same f32 numbers that the direct kernels keep in registers, so the order of
// operations (matmul_direct.h) and every bit of the result are the same.
#pragma once

#include "kernels/cpu/matmul_strips.h"

namespace foretoken::kernels {
namespace {

/// One decoded tile of a super-block format: a byte per code, scales as integers.
template <int kGroupColumns, bool kMins>
struct alignas(64) SuperPanel {
  static constexpr int kColumns = 256;
  static constexpr int kGroup = kGroupColumns;
  static constexpr bool kHasMins = kMins;
  std::uint8_t codes[64][64];
  float scales[256 / kGroup][16];
  std::int32_t mins[kHasMins ? 128 / kGroup : 1][16];
  float d[16];
  float dmin[16];
};

/// One decoded tile of a format of 32-column blocks.
template <bool kMins>
struct alignas(64) SmallPanel {
  static constexpr int kColumns = 64;
  static constexpr bool kHasMins = kMins;
  std::uint8_t codes[2][8][64];
  float d[2][16];
  float m[2][16];
};

template <class F>
using SuperPanelOf = SuperPanel<F::kGroup, F::kHasMins>;
template <class F>
using SmallPanelOf = SmallPanel<F::kHasMins>;

/// Formats whose panels are multiplied by the same code: where a level's dot products never
/// saturate, the largest code does not matter.
template <class V, class F>
constexpr int kPanelMaxCode = V::kSaturates || F::kMaxCode == 255 ? F::kMaxCode : 127;

template <class V, class F>
void decode_tile(const typename F::Tile& tile, SuperPanelOf<F>& panel) {
  constexpr int kGroups = 256 / F::kGroup;
  for (int slice = 0; slice < kGroupRows; slice += V::kRows) {
    unroll<8>([&](auto group) __attribute__((always_inline)) {
      constexpr int g = decltype(group)::value;
      unroll<8>([&](auto vector) __attribute__((always_inline)) {
        constexpr int j = decltype(vector)::value;
        V::store_bytes(panel.codes[8 * g + j] + 4 * slice, F::template code<V, g, j>(tile, slice));
      });
    });
    for (int g = 0; g < kGroups; ++g) {
      V::store(panel.scales[g] + slice, V::to_floats(F::template scale<V>(tile, g, slice)));
    }
    V::store(panel.d + slice, F::template d<V>(tile, slice));
    if constexpr (F::kHasMins) {
      for (int pair = 0; pair < kGroups / 2; ++pair) {
        V::store_ints(panel.mins[pair] + slice, F::template mins<V>(tile, pair, slice));
      }
      V::store(panel.dmin + slice, F::template dmin<V>(tile, slice));
    }
  }
}

template <class V, class F>
void decode_tile(const typename F::Tile& tile, SmallPanelOf<F>& panel) {
  for (int slice = 0; slice < kGroupRows; slice += V::kRows) {
    unroll<2>([&](auto index) __attribute__((always_inline)) {
      constexpr int kBlock = decltype(index)::value;
      unroll<8>([&](auto vector) __attribute__((always_inline)) {
        constexpr int j = decltype(vector)::value;
        V::store_bytes(panel.codes[kBlock][j] + 4 * slice,
                       F::template code<V, kBlock, j>(tile, slice));
      });
      V::store(panel.d[kBlock] + slice, F::template d<V>(tile, kBlock, slice));
      if constexpr (F::kHasMins) {
        V::store(panel.m[kBlock] + slice, F::template m<V>(tile, kBlock, slice));
      }
    });
  }
}

/// Sums of a register tile: kRowGroups slices of rows times kWidth tokens.
template <class V, int kRowGroups, int kWidth>
struct Sums {
  typename V::Floats at[kRowGroups][kWidth];

  [[gnu::always_inline]] void load(const float* out, std::ptrdiff_t stride, bool is_first) {
    unroll<kRowGroups>([&](auto group) __attribute__((always_inline)) {
      unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
        constexpr int r = decltype(group)::value;
        constexpr int c = decltype(column)::value;
        at[r][c] = is_first ? V::zero_floats() : V::load(out + c * stride + kGroupRows * r);
      });
    });
  }
  [[gnu::always_inline]] void store(float* out, std::ptrdiff_t stride) const {
    unroll<kRowGroups>([&](auto group) __attribute__((always_inline)) {
      unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
        constexpr int r = decltype(group)::value;
        constexpr int c = decltype(column)::value;
        V::store(out + c * stride + kGroupRows * r, at[r][c]);
      });
    });
  }
};

/// Adds the minima's part of one tile: y -= dmin * d * (mins . pair sums).
template <class V, class Panel, int kRowGroups, int kWidth>
[[gnu::always_inline]] inline void subtract_mins(const Panel* const (&tiles)[kRowGroups], int slice,
                                                 const float* d, const std::int32_t* pairs,
                                                 Sums<V, kRowGroups, kWidth>& y) {
  unroll<kRowGroups>([&](auto group) __attribute__((always_inline)) {
    constexpr int r = decltype(group)::value;
    const Panel& tile = *tiles[r];
    typename V::Ints total[kWidth];
    unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
      total[decltype(column)::value] = V::zero_ints();
    });
    for (int pair = 0; pair < 128 / Panel::kGroup; ++pair) {
      const typename V::Ints mins = V::load_ints(tile.mins[pair] + slice);
      unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
        constexpr int c = decltype(column)::value;
        total[c] =
            V::add_pair_products(total[c], mins, V::broadcast_int(pairs + pair * kWidth + c));
      });
    }
    const typename V::Floats scale = V::load(tile.dmin + slice);
    unroll<kWidth>([&](auto column) __attribute__((always_inline)) {
      constexpr int c = decltype(column)::value;
      y.at[r][c] = V::subtract_product(y.at[r][c], V::to_floats(total[c]),
                                       V::multiply(scale, V::broadcast_float(d + c)));
    });
  });
}

/// One slice of kRowGroups row groups times one strip over `n_tiles` decoded tiles. Row group r's
/// tiles begin at panel + r * panel_stride.
template <class V, int kMaxCode, int kWidth, int kGroup, bool kHasMins>
void multiply_panel(const SuperPanel<kGroup, kHasMins>* panel, int panel_stride, int n_tiles,
                    int slice, const std::int8_t* q, const float* d, const std::int32_t* correction,
                    float* out, std::ptrdiff_t out_stride, bool is_first) {
  constexpr int kGroups = 256 / kGroup;
  constexpr int kSteps = kGroup / 4;
  constexpr int kRowGroups = V::kPanelRowGroups;
  Sums<V, kRowGroups, kWidth> y;
  y.load(out, out_stride, is_first);
  for (int b = 0; b < n_tiles; ++b) {
    const SuperPanel<kGroup, kHasMins>* tiles[kRowGroups];
    for (int r = 0; r < kRowGroups; ++r) tiles[r] = panel + r * panel_stride + b;
    typename V::Floats total[kRowGroups][kWidth];
    unroll<kRowGroups * kWidth>([&](auto i) __attribute__((always_inline)) {
      total[decltype(i)::value / kWidth][decltype(i)::value % kWidth] = V::zero_floats();
    });
    for (int g = 0; g < kGroups; ++g, q += 4 * kSteps * kWidth) {
      typename V::Sum sums[kRowGroups][kWidth];
      unroll<kRowGroups * kWidth>([&](auto i) __attribute__((always_inline)) {
        constexpr int c = decltype(i)::value % kWidth;
        sums[decltype(i)::value / kWidth][c] = V::template start_sum<kMaxCode>(
            kHasMins ? V::zero_ints() : V::broadcast_int(correction + g * kWidth + c));
      });
      unroll<kSteps>([&](auto step) __attribute__((always_inline)) {
        constexpr int j = decltype(step)::value;
        unroll<kRowGroups * kWidth>([&](auto i) __attribute__((always_inline)) {
          constexpr int r = decltype(i)::value % kRowGroups;
          constexpr int c = decltype(i)::value / kRowGroups;
          V::template add_products<kMaxCode, j>(
              sums[r][c], V::load_bytes(tiles[r]->codes[kSteps * g + j] + 4 * slice),
              q + 4 * (kWidth * j + c));
        });
      });
      unroll<kRowGroups * kWidth>([&](auto i) __attribute__((always_inline)) {
        constexpr int r = decltype(i)::value / kWidth;
        constexpr int c = decltype(i)::value % kWidth;
        total[r][c] =
            V::multiply_add(V::to_floats(V::template finish_sum<kMaxCode, kSteps>(sums[r][c])),
                            V::load(tiles[r]->scales[g] + slice), total[r][c]);
      });
    }
    unroll<kRowGroups * kWidth>([&](auto i) __attribute__((always_inline)) {
      constexpr int r = decltype(i)::value / kWidth;
      constexpr int c = decltype(i)::value % kWidth;
      y.at[r][c] = V::multiply_add(
          total[r][c], V::multiply(V::load(tiles[r]->d + slice), V::broadcast_float(d + c)),
          y.at[r][c]);
    });
    if constexpr (kHasMins) subtract_mins<V>(tiles, slice, d, correction, y);
    d += kWidth;
    correction += (kHasMins ? kGroups / 2 : kGroups) * kWidth;
  }
  y.store(out, out_stride);
}

template <class V, int kMaxCode, int kWidth, bool kHasMins>
void multiply_panel(const SmallPanel<kHasMins>* panel, int panel_stride, int n_tiles, int slice,
                    const std::int8_t* q, const float* d, const std::int32_t* correction,
                    float* out, std::ptrdiff_t out_stride, bool is_first) {
  constexpr int kRowGroups = V::kPanelRowGroups;
  Sums<V, kRowGroups, kWidth> y;
  y.load(out, out_stride, is_first);
  for (int b = 0; b < 2 * n_tiles; ++b) {
    const SmallPanel<kHasMins>* tiles[kRowGroups];
    for (int r = 0; r < kRowGroups; ++r) tiles[r] = panel + r * panel_stride + b / 2;
    typename V::Sum sums[kRowGroups][kWidth];
    unroll<kRowGroups * kWidth>([&](auto i) __attribute__((always_inline)) {
      constexpr int c = decltype(i)::value % kWidth;
      sums[decltype(i)::value / kWidth][c] = V::template start_sum<kMaxCode>(
          kHasMins ? V::zero_ints() : V::broadcast_int(correction + c));
    });
    unroll<8>([&](auto step) __attribute__((always_inline)) {
      constexpr int j = decltype(step)::value;
      unroll<kRowGroups * kWidth>([&](auto i) __attribute__((always_inline)) {
        constexpr int r = decltype(i)::value % kRowGroups;
        constexpr int c = decltype(i)::value / kRowGroups;
        V::template add_products<kMaxCode, j>(sums[r][c],
                                              V::load_bytes(tiles[r]->codes[b % 2][j] + 4 * slice),
                                              q + 4 * (kWidth * j + c));
      });
    });
    unroll<kRowGroups * kWidth>([&](auto i) __attribute__((always_inline)) {
      constexpr int r = decltype(i)::value / kWidth;
      constexpr int c = decltype(i)::value % kWidth;
      y.at[r][c] = V::multiply_add(
          V::to_floats(V::template finish_sum<kMaxCode, 8>(sums[r][c])),
          V::multiply(V::load(tiles[r]->d[b % 2] + slice), V::broadcast_float(d + c)), y.at[r][c]);
      if constexpr (kHasMins) {
        const auto* scaled_sums = reinterpret_cast<const float*>(correction);
        y.at[r][c] = V::multiply_add(V::load(tiles[r]->m[b % 2] + slice),
                                     V::broadcast_float(scaled_sums + c), y.at[r][c]);
      }
    });
    q += 32 * kWidth;
    d += kWidth;
    correction += kWidth;
  }
  y.store(out, out_stride);
}

/// What an activation array holds per tile and token.
struct PerTile {
  int columns;
  int scales;
  int corrections;
};

/// V::kPanelRowGroups row groups times all strips, from one decoded panel after the other. A row
/// group beyond the last is computed as a copy of the last, into the room that MatmulTask keeps.
template <class V, class F, class Panel>
void multiply_row_groups(const MatmulTask& task, int first_group, PerTile per) {
  constexpr int kRowGroups = V::kPanelRowGroups;
  constexpr int kTilesPerPanel = kPanelColumns / Panel::kColumns;
  static_assert(kRowGroups * kTilesPerPanel * sizeof(Panel) <= kPanelBytes);
  auto* panel = reinterpret_cast<Panel*>(task.panel);
  const auto* weights = reinterpret_cast<const typename F::Tile*>(task.weights);
  for (int s = 0; s < task.in.strips.count; s += kPanelStrips) {
    const int s_end =
        s + kPanelStrips < task.in.strips.count ? s + kPanelStrips : task.in.strips.count;
    for (int b = 0; b < task.n_tiles; b += kTilesPerPanel) {
      const int n_tiles = task.n_tiles - b < kTilesPerPanel ? task.n_tiles - b : kTilesPerPanel;
      for (int r = 0; r < kRowGroups; ++r) {
        const std::ptrdiff_t group =
            first_group + r < task.n_groups ? first_group + r : task.n_groups - 1;
        for (int i = 0; i < n_tiles; ++i) {
          decode_tile<V, F>(weights[group * task.n_tiles + b + i], panel[r * kTilesPerPanel + i]);
        }
      }
      for (int i = s; i < s_end; ++i) {
        const Strip strip = strip_at(task.in.strips, i);
        const std::ptrdiff_t tile = static_cast<std::ptrdiff_t>(strip.begin) * task.n_tiles +
                                    static_cast<std::ptrdiff_t>(strip.width) * b;
        float* out = task.out + strip.begin * task.out_stride + kGroupRows * first_group;
        with_width<V>(strip.width, [&](auto width) {
          for (int slice = 0; slice < kGroupRows; slice += V::kRows) {
            multiply_panel<V, kPanelMaxCode<V, F>, decltype(width)::value>(
                panel, kTilesPerPanel, n_tiles, slice, task.in.q + tile * per.columns,
                task.in.d + tile * per.scales, task.in.correction + tile * per.corrections,
                out + slice, task.out_stride, b == 0);
          }
        });
      }
    }
  }
}

template <class V, class F>
void multiply_super_panels(const MatmulTask& task) {
  for (int group = 0; group < task.n_groups; group += V::kPanelRowGroups) {
    multiply_row_groups<V, F, SuperPanelOf<F>>(task, group,
                                               {256, 1, (F::kHasMins ? 128 : 256) / F::kGroup});
  }
}

template <class V, class F>
void multiply_small_panels(const MatmulTask& task) {
  for (int group = 0; group < task.n_groups; group += V::kPanelRowGroups) {
    multiply_row_groups<V, F, SmallPanelOf<F>>(task, group, {64, 2, 2});
  }
}

}  // namespace
}  // namespace foretoken::kernels
