// How each packed layout turns into codes and scales in registers: one small
// struct per layout, with the same members, which the product templates take as
// a parameter.
//
// `slice` is the first row of the slice within its row group (0, or 8 for the
// second half of a row group at 8 rows a register). Group g is 32 columns of a
// 256-column tile, or block g of a 64-column tile; its codes are 8 vectors of 4
// columns.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/cpu/weight_layout.h"

namespace foretoken::kernels {
namespace {

template <int kValue>
struct Index {
  static constexpr int value = kValue;
};

template <class Body, int... kIndices>
[[gnu::always_inline]] inline void unroll_over(std::integer_sequence<int, kIndices...>,
                                               const Body& body) {
  (body(Index<kIndices>{}), ...);
}

/// Calls body(Index<0>), body(Index<1>) ... body(Index<kCount - 1>), unrolled.
template <int kCount, class Body>
[[gnu::always_inline]] inline void unroll(const Body& body) {
  unroll_over(std::make_integer_sequence<int, kCount>{}, body);
}

/// Codes of 4-bit groups whose two halves of a byte belong to different groups.
template <class V, int kHalf>
[[gnu::always_inline]] inline void load_half_bytes(const std::uint8_t (*lines)[64], int slice,
                                                   typename V::Bytes* codes) {
  for (int j = 0; j < 8; ++j) {
    codes[j] = V::template take_bits<4 * kHalf, 4, 0>(V::load_bytes(lines[j] + 4 * slice));
  }
}

/// Codes of a 32-column group in 4 lines: low halves are columns 0 .. 15, high
/// halves 16 .. 31.
template <class V>
[[gnu::always_inline]] inline void load_nibble_block(const std::uint8_t (*lines)[64], int slice,
                                                     typename V::Bytes* codes) {
  for (int j = 0; j < 4; ++j) {
    const typename V::Bytes both = V::load_bytes(lines[j] + 4 * slice);
    codes[j] = V::template take_bits<0, 4, 0>(both);
    codes[4 + j] = V::template take_bits<4, 4, 0>(both);
  }
}

/// codes[j] |= bits [kFrom, kFrom + kWidth) of lines[j], moved to kTo.
template <class V, int kFrom, int kWidth, int kTo>
[[gnu::always_inline]] inline void join_bits(const std::uint8_t (*lines)[64], int slice,
                                             typename V::Bytes* codes) {
  for (int j = 0; j < 8; ++j) {
    codes[j] = V::join(
        codes[j], V::template take_bits<kFrom, kWidth, kTo>(V::load_bytes(lines[j] + 4 * slice)));
  }
}

/// IQ4 codebook plus 128 and FP4 codebook (twice the values) plus 12; see
/// quant/blocks.h.
constexpr std::uint8_t kIq4Codes[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                        129, 141, 153, 166, 181, 197, 217, 241};
constexpr std::uint8_t kFp4Codes[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

template <class V>
[[gnu::always_inline]] inline void look_up_codes(const std::uint8_t* table,
                                                 typename V::Bytes* codes) {
  for (int j = 0; j < 8; ++j) codes[j] = V::look_up(table, codes[j]);
}

// Super-block formats. kGroup: columns that share a scale. kMaxCode: see
// dot_scalar.h. scale<g>: of group g of kGroup columns. With kHasMins, minima
// of pair p of such groups, else `correction` holds the start value of each
// group.

struct FormatQ4_K {
  using Tile = TileQ4_K;
  static constexpr int kGroup = 32;
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasMins = true;
  template <class V, int g>
  static void decode(const Tile& tile, int slice, typename V::Bytes* codes) {
    load_half_bytes<V, g % 2>(tile.nibbles[g / 2], slice, codes);
  }
  template <class V>
  static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::load_u8(tile.scales[g] + slice);
  }
  template <class V>
  static typename V::Ints mins(const Tile& tile, int pair, int slice) {
    return V::load_pairs(tile.mins[pair][slice]);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int slice) {
    return V::load_f16(tile.d + slice);
  }
  template <class V>
  static typename V::Floats dmin(const Tile& tile, int slice) {
    return V::load_f16(tile.dmin + slice);
  }
};

struct FormatQ5_K {
  using Tile = TileQ5_K;
  static constexpr int kGroup = 32;
  static constexpr int kMaxCode = 31;
  static constexpr bool kHasMins = true;
  template <class V, int g>
  static void decode(const Tile& tile, int slice, typename V::Bytes* codes) {
    load_half_bytes<V, g % 2>(tile.nibbles[g / 2], slice, codes);
    join_bits<V, g, 1, 4>(tile.high, slice, codes);
  }
  template <class V>
  static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::load_u8(tile.scales[g] + slice);
  }
  template <class V>
  static typename V::Ints mins(const Tile& tile, int pair, int slice) {
    return V::load_pairs(tile.mins[pair][slice]);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int slice) {
    return V::load_f16(tile.d + slice);
  }
  template <class V>
  static typename V::Floats dmin(const Tile& tile, int slice) {
    return V::load_f16(tile.dmin + slice);
  }
};

struct FormatQ6_K {
  using Tile = TileQ6_K;
  static constexpr int kGroup = 16;
  static constexpr int kMaxCode = 63;
  static constexpr bool kHasMins = false;
  template <class V, int g>
  static void decode(const Tile& tile, int slice, typename V::Bytes* codes) {
    load_half_bytes<V, g % 4 / 2>(tile.nibbles[g / 4][g % 2], slice, codes);
    join_bits<V, 2 * (g % 4), 2, 4>(tile.high[g / 4], slice, codes);
  }
  template <class V>
  static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::load_i8(tile.scales[g] + slice);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int slice) {
    return V::load(tile.d + slice);
  }
};

struct FormatQ2_K {
  using Tile = TileQ2_K;
  static constexpr int kGroup = 16;
  static constexpr int kMaxCode = 3;
  static constexpr bool kHasMins = true;
  template <class V, int g>
  static void decode(const Tile& tile, int slice, typename V::Bytes* codes) {
    for (int j = 0; j < 8; ++j) {
      codes[j] =
          V::template take_bits<2 * (g % 4), 2, 0>(V::load_bytes(tile.codes[g / 4][j] + 4 * slice));
    }
  }
  template <class V>
  static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::low_nibble_of_pair(tile.scales_mins[g / 2][slice], g % 2);
  }
  template <class V>
  static typename V::Ints mins(const Tile& tile, int pair, int slice) {
    return V::high_nibbles(V::load_pairs(tile.scales_mins[pair][slice]));
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int slice) {
    return V::load_f16(tile.d + slice);
  }
  template <class V>
  static typename V::Floats dmin(const Tile& tile, int slice) {
    return V::load_f16(tile.dmin + slice);
  }
};

struct FormatQ3_K {
  using Tile = TileQ3_K;
  static constexpr int kGroup = 16;
  static constexpr int kMaxCode = 7;
  static constexpr bool kHasMins = false;
  template <class V, int g>
  static void decode(const Tile& tile, int slice, typename V::Bytes* codes) {
    for (int j = 0; j < 8; ++j) {
      codes[j] =
          V::template take_bits<2 * (g % 4), 2, 0>(V::load_bytes(tile.codes[g / 4][j] + 4 * slice));
    }
    join_bits<V, g, 1, 2>(tile.high, slice, codes);
  }
  template <class V>
  static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::load_i8(tile.scales[g] + slice);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int slice) {
    return V::load(tile.d + slice);
  }
};

struct FormatIQ4_XS {
  using Tile = TileIQ4_XS;
  static constexpr int kGroup = 32;
  static constexpr int kMaxCode = 255;
  static constexpr bool kHasMins = false;
  template <class V, int g>
  static void decode(const Tile& tile, int slice, typename V::Bytes* codes) {
    load_nibble_block<V>(tile.nibbles[g], slice, codes);
    look_up_codes<V>(kIq4Codes, codes);
  }
  template <class V>
  static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::load_i8(tile.scales[g] + slice);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int slice) {
    return V::load(tile.d + slice);
  }
};

// Formats of 32-column blocks. With kHasMins the value is code * d + m, else
// (code - offset) * d.

struct FormatQ8_0 {
  using Tile = TileQ8_0;
  static constexpr int kMaxCode = 255;
  static constexpr bool kHasMins = false;
  template <class V>
  static void decode(const Tile& tile, int block, int slice, typename V::Bytes* codes) {
    for (int j = 0; j < 8; ++j) codes[j] = V::load_bytes(tile.codes[block][j] + 4 * slice);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
};

struct FormatQ4_0 {
  using Tile = TileNibbles;
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasMins = false;
  template <class V>
  static void decode(const Tile& tile, int block, int slice, typename V::Bytes* codes) {
    load_nibble_block<V>(tile.nibbles[block], slice, codes);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
};

struct FormatQ4_1 {
  using Tile = TileQ4_1;
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasMins = true;
  template <class V>
  static void decode(const Tile& tile, int block, int slice, typename V::Bytes* codes) {
    load_nibble_block<V>(tile.nibbles[block], slice, codes);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
  template <class V>
  static typename V::Floats m(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.m[block] + slice);
  }
};

/// Joins bit j of one line to codes[j], as bit 4.
template <class V>
[[gnu::always_inline]] inline void join_fifth_bits(const std::uint8_t* line, int slice,
                                                   typename V::Bytes* codes) {
  const typename V::Bytes bits = V::load_bytes(line + 4 * slice);
  unroll<8>([&](auto j) [[gnu::always_inline]] {
    constexpr int kJ = decltype(j)::value;
    codes[kJ] = V::join(codes[kJ], V::template take_bits<kJ, 1, 4>(bits));
  });
}

struct FormatQ5_0 {
  using Tile = TileQ5_0;
  static constexpr int kMaxCode = 31;
  static constexpr bool kHasMins = false;
  template <class V>
  static void decode(const Tile& tile, int block, int slice, typename V::Bytes* codes) {
    load_nibble_block<V>(tile.nibbles[block], slice, codes);
    join_fifth_bits<V>(tile.high[block], slice, codes);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
};

struct FormatQ5_1 {
  using Tile = TileQ5_1;
  static constexpr int kMaxCode = 31;
  static constexpr bool kHasMins = true;
  template <class V>
  static void decode(const Tile& tile, int block, int slice, typename V::Bytes* codes) {
    load_nibble_block<V>(tile.nibbles[block], slice, codes);
    join_fifth_bits<V>(tile.high[block], slice, codes);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
  template <class V>
  static typename V::Floats m(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.m[block] + slice);
  }
};

struct FormatIQ4_NL {
  using Tile = TileNibbles;
  static constexpr int kMaxCode = 255;
  static constexpr bool kHasMins = false;
  template <class V>
  static void decode(const Tile& tile, int block, int slice, typename V::Bytes* codes) {
    load_nibble_block<V>(tile.nibbles[block], slice, codes);
    look_up_codes<V>(kIq4Codes, codes);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
};

struct FormatMXFP4 {
  using Tile = TileNibbles;
  static constexpr int kMaxCode = 24;
  static constexpr bool kHasMins = false;
  template <class V>
  static void decode(const Tile& tile, int block, int slice, typename V::Bytes* codes) {
    load_nibble_block<V>(tile.nibbles[block], slice, codes);
    look_up_codes<V>(kFp4Codes, codes);
  }
  template <class V>
  static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_bf16(tile.d[block] + slice);
  }
};

// Floats.

struct FormatF32 {
  using Tile = TileF32;
  template <class V>
  static typename V::Floats load(const Tile& tile, int k, int slice) {
    return V::load(tile.w[k] + slice);
  }
};
struct FormatF16 {
  using Tile = TileF16;
  template <class V>
  static typename V::Floats load(const Tile& tile, int k, int slice) {
    return V::load_f16(tile.w[k] + slice);
  }
};
struct FormatBF16 {
  using Tile = TileF16;
  template <class V>
  static typename V::Floats load(const Tile& tile, int k, int slice) {
    return V::load_bf16(tile.w[k] + slice);
  }
};

}  // namespace
}  // namespace foretoken::kernels
