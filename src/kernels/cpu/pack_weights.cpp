// Every layout keeps the file's nibbles and bit planes, so packing moves pieces of 4 bytes (4
// columns of one row) into 64-byte lines of 16 rows; only scales are unpacked.
#include "kernels/cpu/pack_weights.h"

#include <cstring>
#include <vector>

#include "base/half.h"
#include "quant/blocks.h"

namespace foretoken::kernels {
namespace {

using quant::Type;

// Piece j of `source` (4 bytes each) becomes row r of line j.
void spread(const std::uint8_t* source, int n_lines, int row, std::uint8_t (*lines)[64]) {
  for (int j = 0; j < n_lines; ++j) std::memcpy(lines[j] + 4 * row, source + 4 * j, 4);
}

void pack_block(const quant::BlockQ4_K& block, int row, TileQ4_K& tile) {
  tile.d[row] = block.d;
  tile.dmin[row] = block.dmin;
  const quant::ScalesQ4_K scales = quant::unpack_scales_q4_K(block.scales);
  for (int g = 0; g < 8; ++g) {
    tile.scales[g][row] = scales.scale[g];
    tile.mins[g / 2][row][g % 2] = scales.min[g];
  }
  spread(block.qs, 32, row, tile.nibbles[0]);
}

void pack_block(const quant::BlockQ5_K& block, int row, TileQ5_K& tile) {
  tile.d[row] = block.d;
  tile.dmin[row] = block.dmin;
  const quant::ScalesQ4_K scales = quant::unpack_scales_q4_K(block.scales);
  for (int g = 0; g < 8; ++g) {
    tile.scales[g][row] = scales.scale[g];
    tile.mins[g / 2][row][g % 2] = scales.min[g];
  }
  spread(block.qs, 32, row, tile.nibbles[0]);
  spread(block.qh, 8, row, tile.high);
}

void pack_block(const quant::BlockQ6_K& block, int row, TileQ6_K& tile) {
  tile.d[row] = f16_to_f32(block.d);
  for (int g = 0; g < 16; ++g) tile.scales[g][row] = block.scales[g];
  spread(block.ql, 32, row, tile.nibbles[0][0]);
  spread(block.qh, 16, row, tile.high[0]);
}

void pack_block(const quant::BlockQ2_K& block, int row, TileQ2_K& tile) {
  tile.d[row] = block.d;
  tile.dmin[row] = block.dmin;
  for (int g = 0; g < 16; ++g) tile.scales_mins[g / 2][row][g % 2] = block.scales[g];
  spread(block.qs, 16, row, tile.codes[0]);
}

void pack_block(const quant::BlockQ3_K& block, int row, TileQ3_K& tile) {
  tile.d[row] = f16_to_f32(block.d);
  const quant::ScalesQ3_K scales = quant::unpack_scales_q3_K(block.scales);
  for (int g = 0; g < 16; ++g) tile.scales[g][row] = scales.scale[g];
  spread(block.qs, 16, row, tile.codes[0]);
  spread(block.hmask, 8, row, tile.high);
}

void pack_block(const quant::BlockIQ4_XS& block, int row, TileIQ4_XS& tile) {
  tile.d[row] = f16_to_f32(block.d);
  for (int g = 0; g < 8; ++g) {
    const int low = (block.scales_l[g / 2] >> (4 * (g % 2))) & 15;
    const int high = (block.scales_h >> (2 * g)) & 3;
    tile.scales[g][row] = static_cast<std::int8_t>((low | high << 4) - 32);
  }
  spread(block.qs, 32, row, tile.nibbles[0]);
}

// Blocks of 32: `half` is the block's place in its 64-column tile.

void pack_block(const quant::BlockQ8_0& block, int row, int half, TileQ8_0& tile) {
  tile.d[half][row] = block.d;
  std::uint8_t codes[32];
  for (int k = 0; k < 32; ++k) codes[k] = static_cast<std::uint8_t>(block.q[k] + 128);
  spread(codes, 8, row, tile.codes[half]);
}

// Q4_0 and IQ4_NL have the same members.
template <class Block>
void pack_block(const Block& block, int row, int half, TileNibbles& tile) {
  tile.d[half][row] = block.d;
  spread(block.qs, 4, row, tile.nibbles[half]);
}

void pack_block(const quant::BlockMXFP4& block, int row, int half, TileNibbles& tile) {
  // 2^(e - 128) as bf16: the two smallest are subnormal.
  tile.d[half][row] =
      static_cast<std::uint16_t>(block.e < 2 ? 0x20 << block.e : (block.e - 1) << 7);
  spread(block.qs, 4, row, tile.nibbles[half]);
}

void pack_block(const quant::BlockQ4_1& block, int row, int half, TileQ4_1& tile) {
  tile.d[half][row] = block.d;
  tile.m[half][row] = block.m;
  spread(block.qs, 4, row, tile.nibbles[half]);
}

// Bit j of byte 4 * row + i is the fifth bit of column 4j + i.
void spread_fifth_bits(std::uint32_t qh, int row, std::uint8_t* line) {
  for (int i = 0; i < 4; ++i) {
    int byte = 0;
    for (int j = 0; j < 8; ++j) byte |= static_cast<int>((qh >> (4 * j + i)) & 1U) << j;
    line[4 * row + i] = static_cast<std::uint8_t>(byte);
  }
}

void pack_block(const quant::BlockQ5_0& block, int row, int half, TileQ5_0& tile) {
  tile.d[half][row] = block.d;
  spread(block.qs, 4, row, tile.nibbles[half]);
  spread_fifth_bits(block.qh, row, tile.high[half]);
}

void pack_block(const quant::BlockQ5_1& block, int row, int half, TileQ5_1& tile) {
  tile.d[half][row] = block.d;
  tile.m[half][row] = block.m;
  spread(block.qs, 4, row, tile.nibbles[half]);
  spread_fifth_bits(block.qh, row, tile.high[half]);
}

// One row group of whole blocks. Tiles are outer: 16 short reads, one tile written completely.
template <class Block, class Tile, int kBlocksPerTile>
void pack_blocks(const MatrixSource& source, int first_row, int n_rows, std::byte* out) {
  constexpr int kColumns = kBlocksPerTile == 1 ? 256 : 32;
  const int n_blocks = source.cols / kColumns;
  const auto row_bytes = static_cast<std::size_t>(n_blocks) * sizeof(Block);
  const std::byte* rows = source.data + static_cast<std::size_t>(first_row) * row_bytes;
  auto* tiles = reinterpret_cast<Tile*>(out);
  for (int b = 0; b < n_blocks; ++b) {
    for (int r = 0; r < n_rows; ++r) {
      Block block;
      std::memcpy(&block,
                  rows + static_cast<std::size_t>(r) * row_bytes +
                      static_cast<std::size_t>(b) * sizeof(Block),
                  sizeof(Block));
      if constexpr (kBlocksPerTile == 1) {
        pack_block(block, r, tiles[b]);
      } else {
        pack_block(block, r, b % 2, tiles[b / 2]);
      }
    }
  }
}

// One row group of floats, through the decoder of its type.
template <class Tile, class Store>
void pack_floats(const MatrixSource& source, int first_row, int n_rows, std::byte* out,
                 Store store) {
  const auto cols = static_cast<std::size_t>(source.cols);
  const std::size_t row_bytes = quant::row_bytes(source.type, cols);
  std::vector<float> row(cols);
  auto* tiles = reinterpret_cast<Tile*>(out);
  for (int r = 0; r < n_rows; ++r) {
    const auto index = static_cast<std::size_t>(first_row + r);
    quant::dequantize_row(source.type, source.data + index * row_bytes, row.data(), cols);
    for (std::size_t k = 0; k < cols; ++k) tiles[k / 4].w[k % 4][r] = store(row[k]);
  }
}

void pack_group(const MatrixSource& source, Layout layout, int first_row, int n_rows,
                std::byte* out) {
  switch (layout) {
    case Layout::F32:
      return pack_floats<TileF32>(source, first_row, n_rows, out, [](float v) { return v; });
    case Layout::F16:
      return pack_floats<TileF16>(source, first_row, n_rows, out, f32_to_f16);
    case Layout::BF16:
      return pack_floats<TileF16>(source, first_row, n_rows, out, f32_to_bf16);
    case Layout::Q8_0:
      return pack_blocks<quant::BlockQ8_0, TileQ8_0, 2>(source, first_row, n_rows, out);
    case Layout::Q4_0:
      return pack_blocks<quant::BlockQ4_0, TileNibbles, 2>(source, first_row, n_rows, out);
    case Layout::Q4_1:
      return pack_blocks<quant::BlockQ4_1, TileQ4_1, 2>(source, first_row, n_rows, out);
    case Layout::Q5_0:
      return pack_blocks<quant::BlockQ5_0, TileQ5_0, 2>(source, first_row, n_rows, out);
    case Layout::Q5_1:
      return pack_blocks<quant::BlockQ5_1, TileQ5_1, 2>(source, first_row, n_rows, out);
    case Layout::IQ4_NL:
      return pack_blocks<quant::BlockIQ4_NL, TileNibbles, 2>(source, first_row, n_rows, out);
    case Layout::MXFP4:
      return pack_blocks<quant::BlockMXFP4, TileNibbles, 2>(source, first_row, n_rows, out);
    case Layout::Q2_K:
      return pack_blocks<quant::BlockQ2_K, TileQ2_K, 1>(source, first_row, n_rows, out);
    case Layout::Q3_K:
      return pack_blocks<quant::BlockQ3_K, TileQ3_K, 1>(source, first_row, n_rows, out);
    case Layout::Q4_K:
      return pack_blocks<quant::BlockQ4_K, TileQ4_K, 1>(source, first_row, n_rows, out);
    case Layout::Q5_K:
      return pack_blocks<quant::BlockQ5_K, TileQ5_K, 1>(source, first_row, n_rows, out);
    case Layout::Q6_K:
      return pack_blocks<quant::BlockQ6_K, TileQ6_K, 1>(source, first_row, n_rows, out);
    case Layout::IQ4_XS:
      return pack_blocks<quant::BlockIQ4_XS, TileIQ4_XS, 1>(source, first_row, n_rows, out);
  }
}

}  // namespace

Layout layout_of(quant::Type type) {
  switch (type) {
    case Type::F16:
    case Type::Q1_0:
    case Type::Q2_0:
      return Layout::F16;
    case Type::BF16:
    case Type::NVFP4:
      return Layout::BF16;
    case Type::Q8_0:
      return Layout::Q8_0;
    case Type::Q4_0:
      return Layout::Q4_0;
    case Type::Q4_1:
      return Layout::Q4_1;
    case Type::Q5_0:
      return Layout::Q5_0;
    case Type::Q5_1:
      return Layout::Q5_1;
    case Type::IQ4_NL:
      return Layout::IQ4_NL;
    case Type::MXFP4:
      return Layout::MXFP4;
    case Type::Q2_K:
      return Layout::Q2_K;
    case Type::Q3_K:
      return Layout::Q3_K;
    case Type::Q4_K:
      return Layout::Q4_K;
    case Type::Q5_K:
      return Layout::Q5_K;
    case Type::Q6_K:
      return Layout::Q6_K;
    case Type::IQ4_XS:
      return Layout::IQ4_XS;
    default:
      return Layout::F32;  // F32, F64; others are not decodable and never come here
  }
}

PackedShape packed_shape(Layout layout, int rows, int cols) {
  const LayoutInfo info = layout_info(layout);
  PackedShape shape{};
  shape.n_groups = (rows + kGroupRows - 1) / kGroupRows;
  shape.n_tiles = (cols + info.tile_cols - 1) / info.tile_cols;
  shape.group_bytes = static_cast<std::size_t>(shape.n_tiles) * info.tile_bytes;
  return shape;
}

void pack_groups(const MatrixSource& source, Layout layout, int begin, int end, std::byte* out) {
  const PackedShape shape = packed_shape(layout, source.rows, source.cols);
  for (int group = begin; group < end; ++group) {
    const int first_row = group * kGroupRows;
    const int n_rows = source.rows - first_row < kGroupRows ? source.rows - first_row : kGroupRows;
    pack_group(source, layout, first_row, n_rows,
               out + static_cast<std::size_t>(group) * shape.group_bytes);
  }
}

}  // namespace foretoken::kernels
