// How weight matrices lie in memory for the CPU kernels, and what each layout needs to know about
// the activations. Plain data only: this header is also read by the per-instruction-set files.
//
// Rows are taken in groups of 16 and, within a group, interleaved by 4 consecutive columns: one
// 64-byte line holds 4 columns of 16 rows, so that one vector of codes times 4 activation bytes
// broadcast to all lanes accumulates 16 rows without any sum across lanes. Codes keep their bit
// width, and nibbles and bit planes keep the pairing of the file format, so packing a matrix is
// moving 4-byte pieces. A row group is an array of tiles of 256 or 64 columns; a matrix is an array
// of row groups; missing rows and columns are zero.
//
// Sizes against the file: Q4_K +2.8%, Q5_K +2.3%, Q6_K +1.0%, Q8_0, Q2_K +0%, Q3_K +5.5%,
// IQ4_XS +2.9%, MXFP4 +5.9%, others +0%. See docs/kernels.md, "Weights".
#pragma once

#include <cstddef>
#include <cstdint>

namespace foretoken::kernels {

inline constexpr int kGroupRows = 16;

/// The packed forms. A file type without a form of its own is packed as the narrowest float that
/// holds its values exactly.
enum class Layout {
  F32,
  F16,
  BF16,
  Q8_0,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  IQ4_NL,
  MXFP4,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  IQ4_XS,
};
inline constexpr int kNumLayouts = 16;

// Tiles of 256 columns. In every array the last index is row, or 4 * row + (column % 4).

/// Group g of 32 columns: nibbles[g / 2], low half for even g; line j holds columns 4j .. 4j + 3.
struct TileQ4_K {
  std::uint16_t d[16];          ///< f16
  std::uint16_t dmin[16];       ///< f16
  std::uint8_t scales[8][16];   ///< of groups of 32
  std::uint8_t mins[4][16][2];  ///< of groups 2p and 2p + 1 side by side
  std::uint8_t nibbles[4][8][64];
};
/// As Q4_K; bit g of high[j] is the fifth bit of group g.
struct TileQ5_K {
  std::uint16_t d[16];
  std::uint16_t dmin[16];
  std::uint8_t scales[8][16];
  std::uint8_t mins[4][16][2];
  std::uint8_t nibbles[4][8][64];
  std::uint8_t high[8][64];
};
/// Group g of 32 with h = g / 4, k = g % 4: nibbles[h][k % 2], low half for k < 2; bits 2k and
/// 2k + 1 of high[h] are the upper two.
struct TileQ6_K {
  float d[16];
  std::int8_t scales[16][16];  ///< of groups of 16
  std::uint8_t nibbles[2][2][8][64];
  std::uint8_t high[2][8][64];
};
/// Group g of 32: bits 2 * (g % 4) of codes[g / 4].
struct TileQ2_K {
  std::uint16_t d[16];
  std::uint16_t dmin[16];
  std::uint8_t scales_mins[8][16][2];  ///< of groups of 16; scale in the low nibble
  std::uint8_t codes[2][8][64];
};
/// As Q2_K; bit g of high[j] is the third bit of group g of 32.
struct TileQ3_K {
  float d[16];
  std::int8_t scales[16][16];
  std::uint8_t codes[2][8][64];
  std::uint8_t high[8][64];
};
/// Group g: low halves of nibbles[g] are columns 0 .. 15, high halves 16 .. 31.
struct TileIQ4_XS {
  float d[16];
  std::int8_t scales[8][16];
  std::uint8_t nibbles[8][4][64];
};

// Tiles of 64 columns: two blocks of 32.

struct TileQ8_0 {
  std::uint16_t d[2][16];        ///< f16
  std::uint8_t codes[2][8][64];  ///< code + 128
};
/// Q4_0, IQ4_NL and MXFP4: low halves of nibbles[b] are columns 0 .. 15 of block b.
struct TileNibbles {
  std::uint16_t d[2][16];  ///< f16; bf16 for MXFP4, whose scales are powers of two
  std::uint8_t nibbles[2][4][64];
};
struct TileQ4_1 {
  std::uint16_t d[2][16];
  std::uint16_t m[2][16];
  std::uint8_t nibbles[2][4][64];
};
/// Bit j of high[b] is the fifth bit of columns 4j .. 4j + 3.
struct TileQ5_0 {
  std::uint16_t d[2][16];
  std::uint8_t nibbles[2][4][64];
  std::uint8_t high[2][64];
};
struct TileQ5_1 {
  std::uint16_t d[2][16];
  std::uint16_t m[2][16];
  std::uint8_t nibbles[2][4][64];
  std::uint8_t high[2][64];
};

// Tiles of 4 columns of floats.

struct TileF32 {
  float w[4][16];
};
struct TileF16 {
  std::uint16_t w[4][16];  ///< f16 or bf16
};

static_assert(sizeof(TileQ4_K) == 2368 && sizeof(TileQ5_K) == 2880 && sizeof(TileQ6_K) == 3392);
static_assert(sizeof(TileQ2_K) == 1344 && sizeof(TileQ3_K) == 1856 && sizeof(TileIQ4_XS) == 2240);
static_assert(sizeof(TileQ8_0) == 1088 && sizeof(TileNibbles) == 576 && sizeof(TileQ4_1) == 640);
static_assert(sizeof(TileQ5_0) == 704 && sizeof(TileQ5_1) == 768);

/// The three forms that activations take.
enum class ActivationKind {
  Float,  ///< f32
  Super,  ///< 8-bit codes, one scale per 256 columns
  Small,  ///< 8-bit codes, one scale per 32 columns
};
inline constexpr int kNumActivationKinds = 3;

/// Integers a layout needs besides the 8-bit codes, all made from the sums of the codes over
/// groups of 16 (Super) or 32 (Small). "Offset o" is -o * sum, the start value of the group's dot
/// product, because a weight's value is its stored code less o.
enum class Correction {
  None,
  Pairs16,    ///< sums of groups 2p, 2p + 1 of 16 as two int16, for minima
  Pairs32,    ///< the same for groups of 32
  Offset4,    ///< groups of 16
  Offset32,   ///< groups of 16
  Offset128,  ///< groups of 32, Super
  Small8,
  Small12,
  Small16,
  Small128,   ///< offsets over blocks of 32
  SmallSums,  ///< f32: scale * sum of a block of 32, for minima
};
inline constexpr int kNumCorrections = 11;

struct LayoutInfo {
  ActivationKind kind;
  Correction correction;
  int tile_cols;
  std::size_t tile_bytes;
};

static constexpr LayoutInfo layout_info(Layout layout) {
  switch (layout) {
    case Layout::F32:
      return {ActivationKind::Float, Correction::None, 4, sizeof(TileF32)};
    case Layout::F16:
      return {ActivationKind::Float, Correction::None, 4, sizeof(TileF16)};
    case Layout::BF16:
      return {ActivationKind::Float, Correction::None, 4, sizeof(TileF16)};
    case Layout::Q8_0:
      return {ActivationKind::Small, Correction::Small128, 64, sizeof(TileQ8_0)};
    case Layout::Q4_0:
      return {ActivationKind::Small, Correction::Small8, 64, sizeof(TileNibbles)};
    case Layout::Q4_1:
      return {ActivationKind::Small, Correction::SmallSums, 64, sizeof(TileQ4_1)};
    case Layout::Q5_0:
      return {ActivationKind::Small, Correction::Small16, 64, sizeof(TileQ5_0)};
    case Layout::Q5_1:
      return {ActivationKind::Small, Correction::SmallSums, 64, sizeof(TileQ5_1)};
    case Layout::IQ4_NL:
      return {ActivationKind::Small, Correction::Small128, 64, sizeof(TileNibbles)};
    case Layout::MXFP4:
      return {ActivationKind::Small, Correction::Small12, 64, sizeof(TileNibbles)};
    case Layout::Q2_K:
      return {ActivationKind::Super, Correction::Pairs16, 256, sizeof(TileQ2_K)};
    case Layout::Q3_K:
      return {ActivationKind::Super, Correction::Offset4, 256, sizeof(TileQ3_K)};
    case Layout::Q4_K:
      return {ActivationKind::Super, Correction::Pairs32, 256, sizeof(TileQ4_K)};
    case Layout::Q5_K:
      return {ActivationKind::Super, Correction::Pairs32, 256, sizeof(TileQ5_K)};
    case Layout::Q6_K:
      return {ActivationKind::Super, Correction::Offset32, 256, sizeof(TileQ6_K)};
    case Layout::IQ4_XS:
      return {ActivationKind::Super, Correction::Offset128, 256, sizeof(TileIQ4_XS)};
  }
  return {};
}

}  // namespace foretoken::kernels
