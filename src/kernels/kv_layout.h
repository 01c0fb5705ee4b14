// How keys and values lie in memory: tiles of 16 positions, so that one vector register holds the
// same dimension of 16 keys (no horizontal sums in q.k) and one row of a value tile is contiguous.
//
// Four tiles make a page of 64 positions, a stretch of memory of its own, so that sequences with a
// common beginning can share it (cache/kv_cache.h). Tile t of a head is tile t % 4 of page t / 4
// and holds positions 16t .. 16t+15. With d = head_dim:
//   F32, F16, BF16   keys [d][16], values [16][d]
//   Q8_0   keys: f16 scale [d/32][16], i8 [d][16];   values: f16 scale [16][d/32], i8 [16][d]
//   Q4_0   keys: f16 scale [d/32][16], u8 [d/2][16]; values: f16 scale [16][d/32], u8 [16][d/2]
// Q4_0 packs two dimensions a byte as the file format does: within a block of 32 dimensions, byte
// j holds dimension j in its low and j+16 in its high nibble, value = (nibble - 8) * scale.
// A tile therefore has 16 * row_bytes(type, d) bytes, whatever the type.
#pragma once

#include <cstddef>

#include "quant/type.h"

namespace foretoken::kernels {

inline constexpr int kKvTile = 16;      ///< positions per tile
inline constexpr int kKvPageTiles = 4;  ///< tiles per page
inline constexpr int kKvPagePositions = kKvPageTiles * kKvTile;

/// Bytes of one tile. Requires head_dim % 32 == 0.
inline std::size_t kv_tile_bytes(quant::Type type, int head_dim) {
  return kKvTile * quant::row_bytes(type, static_cast<std::size_t>(head_dim));
}

/// Pages needed for `n_positions`.
inline int kv_pages(int n_positions) {
  return n_positions / kKvPagePositions + (n_positions % kKvPagePositions != 0 ? 1 : 0);
}

/// True for the types a cache may have: F32, F16, BF16, Q8_0, Q4_0.
inline bool is_kv_type(quant::Type type) {
  return type == quant::Type::F32 || type == quant::Type::F16 || type == quant::Type::BF16 ||
         type == quant::Type::Q8_0 || type == quant::Type::Q4_0;
}

/// Borrowed view of one layer's cache. The owner is cache::KvCache.
struct KvView {
  quant::Type key_type = quant::Type::F16;
  quant::Type value_type = quant::Type::F16;
  /// [pages in use]; within a page, this layer's key tiles [n_kv_heads][kKvPageTiles] begin at
  /// key_offset and its value tiles at value_offset.
  std::byte* const* pages = nullptr;
  std::size_t key_offset = 0;
  std::size_t value_offset = 0;
  int n_kv_heads = 0;
  int head_dim = 0;

  std::byte* key_tile(int head, int tile) const {
    return pages[tile / kKvPageTiles] + key_offset +
           static_cast<std::size_t>(head * kKvPageTiles + tile % kKvPageTiles) *
               kv_tile_bytes(key_type, head_dim);
  }
  std::byte* value_tile(int head, int tile) const {
    return pages[tile / kKvPageTiles] + value_offset +
           static_cast<std::size_t>(head * kKvPageTiles + tile % kKvPageTiles) *
               kv_tile_bytes(value_type, head_dim);
  }
};

}  // namespace foretoken::kernels
