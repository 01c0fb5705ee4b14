// Products of float matrices with many tokens: as matmul_panel.h, with panels of f32. An output
// element has four sums, by column mod 4 (matmul_direct.h). Two of them at a time make a register
// tile; between panels all four wait in memory, behind the panel.
#pragma once

#include "kernels/cpu/matmul_strips.h"

namespace foretoken::kernels {
namespace {

inline constexpr int kFloatPanelTiles = 64;   // of 4 columns
inline constexpr int kFloatPanelStrips = 20;  // tokens of up to six
inline constexpr int kFloatPanelStride = kPanelGroups * kGroupRows;

/// [tile][column mod 4][row groups x 16], then the waiting sums [column mod 4][token][rows].
struct alignas(64) FloatPanel {
  float w[kFloatPanelTiles][4][kFloatPanelStride];
  float sums[4][kFloatPanelStrips * kMaxStripColumns][kFloatPanelStride];
};
static_assert(sizeof(FloatPanel) <= kPanelBytes);

/// Columns k mod 4 in {kResidue, kResidue + 1} of one slice of the row groups times a strip.
/// x: [4 * n_tiles][kWidth]; sums: of residue 0, at the strip's first token.
template <class V, int kWidth, int kResidue>
void multiply_float_panel(const FloatPanel& panel, int n_tiles, int slice, const float* x,
                          float (*sums)[kFloatPanelStride], bool is_first) {
  constexpr int kRowGroups = V::kPanelRowGroups;
  constexpr std::ptrdiff_t kResidueStride = kFloatPanelStrips * kMaxStripColumns;
  typename V::Floats y[2][kRowGroups][kWidth];
  unroll<2 * kRowGroups * kWidth>([&](auto index) __attribute__((always_inline)) {
    constexpr int i = decltype(index)::value;
    constexpr int k = i / (kRowGroups * kWidth);
    constexpr int r = i / kWidth % kRowGroups;
    constexpr int c = i % kWidth;
    y[k][r][c] = is_first
                     ? V::zero_floats()
                     : V::load(sums[(kResidue + k) * kResidueStride + c] + kGroupRows * r + slice);
  });
  for (int b = 0; b < n_tiles; ++b, x += 4 * kWidth) {
    unroll<2 * kRowGroups * kWidth>([&](auto index) __attribute__((always_inline)) {
      constexpr int i = decltype(index)::value;
      constexpr int k = i / (kRowGroups * kWidth);
      constexpr int r = i % kRowGroups;
      constexpr int c = i / kRowGroups % kWidth;
      y[k][r][c] = V::multiply_add(V::load(panel.w[b][kResidue + k] + kGroupRows * r + slice),
                                   V::broadcast_float(x + (kResidue + k) * kWidth + c), y[k][r][c]);
    });
  }
  unroll<2 * kRowGroups * kWidth>([&](auto index) __attribute__((always_inline)) {
    constexpr int i = decltype(index)::value;
    constexpr int k = i / (kRowGroups * kWidth);
    constexpr int r = i / kWidth % kRowGroups;
    constexpr int c = i % kWidth;
    V::store(sums[(kResidue + k) * kResidueStride + c] + kGroupRows * r + slice, y[k][r][c]);
  });
}

/// out = (0 + 1) + (2 + 3) of the four sums, for `n` tokens.
template <class V>
void join_float_sums(const FloatPanel& panel, int n, float* out, std::ptrdiff_t out_stride) {
  for (int t = 0; t < n; ++t) {
    for (int i = 0; i < V::kPanelRowGroups * kGroupRows; i += V::kRows) {
      V::store(out + t * out_stride + i,
               V::add(V::add(V::load(panel.sums[0][t] + i), V::load(panel.sums[1][t] + i)),
                      V::add(V::load(panel.sums[2][t] + i), V::load(panel.sums[3][t] + i))));
    }
  }
}

/// Tiles [first, first + n_tiles) of the row groups as f32.
template <class V, class F>
void decode_float_tiles(const MatmulTask& task, int first_group, int first, int n_tiles,
                        FloatPanel& panel) {
  for (int r = 0; r < V::kPanelRowGroups; ++r) {
    const std::ptrdiff_t group =
        first_group + r < task.n_groups ? first_group + r : task.n_groups - 1;
    const auto* tiles =
        reinterpret_cast<const typename F::Tile*>(task.weights) + group * task.n_tiles + first;
    for (int b = 0; b < n_tiles; ++b) {
      for (int k = 0; k < 4; ++k) {
        for (int slice = 0; slice < kGroupRows; slice += V::kRows) {
          V::store(panel.w[b][k] + kGroupRows * r + slice, F::template load<V>(tiles[b], k, slice));
        }
      }
    }
  }
}

template <class V, class F>
void multiply_float_row_groups(const MatmulTask& task, int first_group) {
  auto& panel = *reinterpret_cast<FloatPanel*>(task.panel);
  const Strips& strips = task.in.strips;
  for (int s = 0; s < strips.count; s += kFloatPanelStrips) {
    const int s_end = s + kFloatPanelStrips < strips.count ? s + kFloatPanelStrips : strips.count;
    const int begin = strip_at(strips, s).begin;
    for (int b = 0; b < task.n_tiles; b += kFloatPanelTiles) {
      const int n_tiles = task.n_tiles - b < kFloatPanelTiles ? task.n_tiles - b : kFloatPanelTiles;
      decode_float_tiles<V, F>(task, first_group, b, n_tiles, panel);
      for (int i = s; i < s_end; ++i) {
        const Strip strip = strip_at(strips, i);
        const float* x = task.in.x + (static_cast<std::ptrdiff_t>(strip.begin) * task.n_tiles +
                                      static_cast<std::ptrdiff_t>(strip.width) * b) *
                                         4;
        auto* sums = panel.sums[0] + (strip.begin - begin);
        with_width<V>(strip.width, [&](auto width) {
          constexpr int kWidth = decltype(width)::value;
          for (int slice = 0; slice < kGroupRows; slice += V::kRows) {
            multiply_float_panel<V, kWidth, 0>(panel, n_tiles, slice, x, sums, b == 0);
            multiply_float_panel<V, kWidth, 2>(panel, n_tiles, slice, x, sums, b == 0);
          }
        });
      }
    }
    const Strip last = strip_at(strips, s_end - 1);
    join_float_sums<V>(panel, last.begin + last.width - begin,
                       task.out + begin * task.out_stride + kGroupRows * first_group,
                       task.out_stride);
  }
}

template <class V, class F>
void multiply_float_panels(const MatmulTask& task) {
  for (int group = 0; group < task.n_groups; group += V::kPanelRowGroups) {
    multiply_float_row_groups<V, F>(task, group);
  }
}

}  // namespace
}  // namespace foretoken::kernels
