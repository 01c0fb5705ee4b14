// The kernels of matrix products as one table of function pointers per instruction set. Raw
// pointers and plain structs only, so that including it emits no code.
//
// Tokens ("columns" of the product) are taken in strips of at most six, whose activations are
// interleaved so that a kernel walks one pointer. With w the strip's width and k the matrix column,
// padded to whole tiles:
//   Float   x [k][w] f32
//   Super   q [k/4][w][4] i8, d [k/256][w] f32, sums [k/16][w] i32
//   Small   q [k/4][w][4] i8, d [k/32][w] f32, sums [k/32][w] i32
// and corrections (weight_layout.h) [number per column][w]. Strips follow each other; the first
// token of a strip times the size of one token gives its start.
//
// Every output element is the same sequence of operations whatever the strip, so its bits depend on
// its weight row and its own token only (docs/kernels.md, "Order of operations").
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/weight_layout.h"

namespace foretoken::kernels {

/// The widest strip of any level; a level's own limit is in its table.
inline constexpr int kMaxStripColumns = 6;
/// Up to this many tokens weights are decoded into registers for each strip; beyond, into a panel
/// in cache that all strips use.
inline constexpr int kDirectColumns = 12;
/// A panel holds this many row groups and matrix columns, and serves this many strips before the
/// next columns are decoded. A panel of codes is 16 KB, half of a small first-level cache; the
/// strips' share of the activations and the sums that wait in the output fit the second level.
inline constexpr int kPanelGroups = 2;
inline constexpr int kPanelColumns = 512;
inline constexpr int kPanelStrips = 86;
/// Bytes of panel memory per thread.
inline constexpr std::size_t kPanelBytes = 96 * 1024;

/// n tokens cut into strips as equal as possible: the first `n_wide` of them hold `width + 1`.
struct Strips {
  int count;
  int width;
  int n_wide;
};

/// Activations of all tokens, as described above. Unused arrays are null.
struct Activations {
  const float* x;
  const std::int8_t* q;
  const float* d;
  const std::int32_t* correction;
  Strips strips;
};

/// out[t * out_stride + 16 * g + i] = row i of row group g times token t.
struct MatmulTask {
  const std::byte* weights;  ///< first row group
  int n_groups;
  int n_tiles;  ///< per row group
  Activations in;
  float* out;                 ///< [n][out_stride]
  std::ptrdiff_t out_stride;  ///< >= 16 * n_groups, rounded up to kPanelGroups groups
  std::byte* panel;           ///< kPanelBytes, 64-byte aligned, of this thread
};

struct MatmulTable {
  int strip_columns;  ///< tokens of the widest strip, at most kMaxStripColumns

  /// By Layout.
  void (*multiply[kNumLayouts])(const MatmulTask& task);

  /// y = x * (mean(x^2) + eps)^(-1/2) * norm. y may be x.
  void (*rms_norm)(const float* x, const float* norm, float eps, int width, float* y);

  /// Writes one token into column `c` of a strip of `w`: q, d, sums as above. x has `width`
  /// elements; the rest up to padded_width (a multiple of 256 or 64) counts as zero.
  void (*quantize_super)(const float* x, int width, int w, std::int8_t* q, float* d,
                         std::int32_t* sums);
  void (*quantize_small)(const float* x, int width, int w, std::int8_t* q, float* d,
                         std::int32_t* sums);

  /// out[i] = gate[i] / (1 + e^-gate[i]) * up[i].
  void (*swiglu)(const float* gate, const float* up, int n, float* out);
};

extern const MatmulTable kMatmulScalar;
extern const MatmulTable kMatmulAvx2;
extern const MatmulTable kMatmulAvx512;
extern const MatmulTable kMatmulAvx512Vnni;

}  // namespace foretoken::kernels
