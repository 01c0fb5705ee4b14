// How each packed layout turns into codes and scales in registers: one small struct per layout,
// with the same members, which the product templates take as a parameter.
//
// `slice` is the first row of the slice within its row group (0, or 8 for the second half of a row
// group at 8 rows a register). Group g is 32 columns of a 256-column tile, or block g of a
// 64-column tile; its codes are 8 vectors of 4 columns.
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

/// Bits [kFrom, kFrom + kWidth) of a slice of a line, moved to kTo.
template <class V, int kFrom, int kWidth, int kTo>
[[gnu::always_inline]] inline typename V::Bytes load_bits(const std::uint8_t* line, int slice) {
  return V::template take_bits<kFrom, kWidth, kTo>(V::load_bytes(line + 4 * slice));
}

/// Vector j of a 32-column group in 4 lines: low halves are columns 0 .. 15, high halves 16 .. 31.
template <class V, int j>
[[gnu::always_inline]] inline typename V::Bytes load_nibbles(const std::uint8_t (*lines)[64],
                                                             int slice) {
  return load_bits < V, j < 4 ? 0 : 4, 4, 0 > (lines[j % 4], slice);
}

/// IQ4 codebook plus 128 and FP4 codebook (twice the values) plus 12; see quant/blocks.h.
constexpr std::uint8_t kIq4Codes[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                        129, 141, 153, 166, 181, 197, 217, 241};
constexpr std::uint8_t kFp4Codes[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// Super-block formats. kGroup: columns that share a scale. kMaxCode: see dot_scalar.h. scale<g>: of
// group g of kGroup columns. With kHasMins, minima of pair p of such groups, else `correction`
// holds the start value of each group.

struct FormatQ4_K {
  using Tile = TileQ4_K;
  static constexpr int kGroup = 32;
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasMins = true;
  template <class V, int g, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return load_bits<V, 4 * (g % 2), 4, 0>(tile.nibbles[g / 2][j], slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::load_u8(tile.scales[g] + slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Ints mins(const Tile& tile, int pair, int slice) {
    return V::load_pairs(tile.mins[pair][slice]);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int slice) {
    return V::load_f16(tile.d + slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats dmin(const Tile& tile, int slice) {
    return V::load_f16(tile.dmin + slice);
  }
};

struct FormatQ5_K {
  using Tile = TileQ5_K;
  static constexpr int kGroup = 32;
  static constexpr int kMaxCode = 31;
  static constexpr bool kHasMins = true;
  template <class V, int g, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return V::join(load_bits<V, 4 * (g % 2), 4, 0>(tile.nibbles[g / 2][j], slice),
                   load_bits<V, g, 1, 4>(tile.high[j], slice));
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::load_u8(tile.scales[g] + slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Ints mins(const Tile& tile, int pair, int slice) {
    return V::load_pairs(tile.mins[pair][slice]);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int slice) {
    return V::load_f16(tile.d + slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats dmin(const Tile& tile, int slice) {
    return V::load_f16(tile.dmin + slice);
  }
};

struct FormatQ6_K {
  using Tile = TileQ6_K;
  static constexpr int kGroup = 16;
  static constexpr int kMaxCode = 63;
  static constexpr bool kHasMins = false;
  template <class V, int g, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return V::join(load_bits<V, 4 * (g % 4 / 2), 4, 0>(tile.nibbles[g / 4][g % 2][j], slice),
                   load_bits<V, 2 * (g % 4), 2, 4>(tile.high[g / 4][j], slice));
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::load_i8(tile.scales[g] + slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int slice) {
    return V::load(tile.d + slice);
  }
};

struct FormatQ2_K {
  using Tile = TileQ2_K;
  static constexpr int kGroup = 16;
  static constexpr int kMaxCode = 3;
  static constexpr bool kHasMins = true;
  template <class V, int g, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return load_bits<V, 2 * (g % 4), 2, 0>(tile.codes[g / 4][j], slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::low_nibble_of_pair(tile.scales_mins[g / 2][slice], g % 2);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Ints mins(const Tile& tile, int pair, int slice) {
    return V::high_nibbles(V::load_pairs(tile.scales_mins[pair][slice]));
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int slice) {
    return V::load_f16(tile.d + slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats dmin(const Tile& tile, int slice) {
    return V::load_f16(tile.dmin + slice);
  }
};

struct FormatQ3_K {
  using Tile = TileQ3_K;
  static constexpr int kGroup = 16;
  static constexpr int kMaxCode = 7;
  static constexpr bool kHasMins = false;
  template <class V, int g, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return V::join(load_bits<V, 2 * (g % 4), 2, 0>(tile.codes[g / 4][j], slice),
                   load_bits<V, g, 1, 2>(tile.high[j], slice));
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::load_i8(tile.scales[g] + slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int slice) {
    return V::load(tile.d + slice);
  }
};

struct FormatIQ4_XS {
  using Tile = TileIQ4_XS;
  static constexpr int kGroup = 32;
  static constexpr int kMaxCode = 255;
  static constexpr bool kHasMins = false;
  template <class V, int g, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return V::look_up(kIq4Codes, load_nibbles<V, j>(tile.nibbles[g], slice));
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Ints scale(const Tile& tile, int g, int slice) {
    return V::load_i8(tile.scales[g] + slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int slice) {
    return V::load(tile.d + slice);
  }
};

// Formats of 32-column blocks. With kHasMins the value is code * d + m, else (code - offset) * d.

struct FormatQ8_0 {
  using Tile = TileQ8_0;
  static constexpr int kMaxCode = 255;
  static constexpr bool kHasMins = false;
  template <class V, int block, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return V::load_bytes(tile.codes[block][j] + 4 * slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
};

struct FormatQ4_0 {
  using Tile = TileNibbles;
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasMins = false;
  template <class V, int block, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return load_nibbles<V, j>(tile.nibbles[block], slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
};

struct FormatQ4_1 {
  using Tile = TileQ4_1;
  static constexpr int kMaxCode = 15;
  static constexpr bool kHasMins = true;
  template <class V, int block, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return load_nibbles<V, j>(tile.nibbles[block], slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats m(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.m[block] + slice);
  }
};

struct FormatQ5_0 {
  using Tile = TileQ5_0;
  static constexpr int kMaxCode = 31;
  static constexpr bool kHasMins = false;
  template <class V, int block, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return V::join(load_nibbles<V, j>(tile.nibbles[block], slice),
                   load_bits<V, j, 1, 4>(tile.high[block], slice));
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
};

struct FormatQ5_1 {
  using Tile = TileQ5_1;
  static constexpr int kMaxCode = 31;
  static constexpr bool kHasMins = true;
  template <class V, int block, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return V::join(load_nibbles<V, j>(tile.nibbles[block], slice),
                   load_bits<V, j, 1, 4>(tile.high[block], slice));
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats m(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.m[block] + slice);
  }
};

struct FormatIQ4_NL {
  using Tile = TileNibbles;
  static constexpr int kMaxCode = 255;
  static constexpr bool kHasMins = false;
  template <class V, int block, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return V::look_up(kIq4Codes, load_nibbles<V, j>(tile.nibbles[block], slice));
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_f16(tile.d[block] + slice);
  }
};

struct FormatMXFP4 {
  using Tile = TileNibbles;
  static constexpr int kMaxCode = 24;
  static constexpr bool kHasMins = false;
  template <class V, int block, int j>
  [[gnu::always_inline]] static typename V::Bytes code(const Tile& tile, int slice) {
    return V::look_up(kFp4Codes, load_nibbles<V, j>(tile.nibbles[block], slice));
  }
  template <class V>
  [[gnu::always_inline]] static typename V::Floats d(const Tile& tile, int block, int slice) {
    return V::load_bf16(tile.d[block] + slice);
  }
};

// Floats.

struct FormatF32 {
  using Tile = TileF32;
  template <class V>
  [[gnu::always_inline]] static typename V::Floats load(const Tile& tile, int k, int slice) {
    return V::load(tile.w[k] + slice);
  }
};
struct FormatF16 {
  using Tile = TileF16;
  template <class V>
  [[gnu::always_inline]] static typename V::Floats load(const Tile& tile, int k, int slice) {
    return V::load_f16(tile.w[k] + slice);
  }
};
struct FormatBF16 {
  using Tile = TileF16;
  template <class V>
  [[gnu::always_inline]] static typename V::Floats load(const Tile& tile, int k, int slice) {
    return V::load_bf16(tile.w[k] + slice);
  }
};

}  // namespace
}  // namespace foretoken::kernels
