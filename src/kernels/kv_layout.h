// How keys and values lie in memory: tiles of 16 positions, so that one vector register holds the
// same dimension of 16 keys (no horizontal sums in q.k) and one row of a value tile is contiguous.
//
// A cache of one layer is [n_kv_heads][n_tiles] tiles for keys and the same for values; tile t of
// a head holds positions 16t .. 16t+15. With d = head_dim:
//   F32, F16, BF16   keys [d][16], values [16][d]
//   Q8_0             keys: f16 scale [d/32][16], i8 [d][16]; values: f16 scale [16][d/32], i8
//   [16][d] Q4_0             keys: f16 scale [d/32][16], u8 [d/2][16]; values: f16 scale
//   [16][d/32], u8 [16][d/2]
// Q4_0 packs two dimensions a byte as the file format does: within a block of 32 dimensions, byte
// j holds dimension j in its low and j+16 in its high nibble, value = (nibble - 8) * scale.
// A tile therefore has 16 * row_bytes(type, d) bytes, whatever the type.
#pragma once

#include <cstddef>

#include "quant/type.h"

namespace foretoken::kernels {

inline constexpr int kKvTile = 16;  ///< positions per tile

/// Bytes of one tile. Requires head_dim % 32 == 0.
inline std::size_t kv_tile_bytes(quant::Type type, int head_dim) {
  return kKvTile * quant::row_bytes(type, static_cast<std::size_t>(head_dim));
}

/// Tiles needed for `n_positions`.
inline int kv_tiles(int n_positions) { return (n_positions + kKvTile - 1) / kKvTile; }

/// True for the types a cache may have: F32, F16, BF16, Q8_0, Q4_0.
inline bool is_kv_type(quant::Type type) {
  return type == quant::Type::F32 || type == quant::Type::F16 || type == quant::Type::BF16 ||
         type == quant::Type::Q8_0 || type == quant::Type::Q4_0;
}

/// Borrowed view of one layer's cache. The owner is cache::KvCache.
struct KvView {
  quant::Type key_type = quant::Type::F16;
  quant::Type value_type = quant::Type::F16;
  std::byte* keys = nullptr;    ///< [n_kv_heads][n_tiles] key tiles
  std::byte* values = nullptr;  ///< [n_kv_heads][n_tiles] value tiles
  int n_tiles = 0;              ///< capacity per head, in tiles
  int n_kv_heads = 0;
  int head_dim = 0;

  std::byte* key_tile(int head, int tile) const {
    return keys + (static_cast<std::size_t>(head) * static_cast<std::size_t>(n_tiles) +
                   static_cast<std::size_t>(tile)) *
                      kv_tile_bytes(key_type, head_dim);
  }
  std::byte* value_tile(int head, int tile) const {
    return values + (static_cast<std::size_t>(head) * static_cast<std::size_t>(n_tiles) +
                     static_cast<std::size_t>(tile)) *
                        kv_tile_bytes(value_type, head_dim);
  }
};

}  // namespace foretoken::kernels
