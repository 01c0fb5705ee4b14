// A tile is a few planes: of keys [rows][16 positions], of values [16 positions][rows].
#include "cache/clear_positions.h"

#include <algorithm>
#include <cstring>

namespace foretoken::cache {
namespace {

constexpr std::size_t kTile = kernels::kKvTile;

// What 16 positions have of `rows` elements each.
struct Plane {
  std::size_t rows;
  std::size_t element_bytes;
};

// The two planes of a tile in order; the first is empty for types without scales.
struct Planes {
  Plane scales;
  Plane elements;
};

Planes planes_of(quant::Type type, int head_dim) {
  const auto d = static_cast<std::size_t>(head_dim);
  const auto info = quant::type_info(type);
  if (info.block_elements == 1) return {{0, 0}, {d, static_cast<std::size_t>(info.block_bytes)}};
  // Blocks of 32: an f16 scale, and one byte for one (Q8_0) or two (Q4_0) dimensions.
  constexpr std::size_t kScaleBytes = 2;
  const std::size_t n_blocks = d / static_cast<std::size_t>(info.block_elements);
  const std::size_t bytes = static_cast<std::size_t>(info.block_bytes) - kScaleBytes;
  return {{n_blocks, kScaleBytes}, {n_blocks * bytes, 1}};
}

// [rows][16]: the positions of a row lie together.
std::byte* clear_key_plane(std::byte* at, const Plane& plane, std::size_t n_valid) {
  const std::size_t row_bytes = kTile * plane.element_bytes;
  const std::size_t kept = n_valid * plane.element_bytes;
  for (std::size_t row = 0; row < plane.rows; ++row, at += row_bytes) {
    std::memset(at + kept, 0, row_bytes - kept);
  }
  return at;
}

// [16][rows]: the elements of a position lie together.
std::byte* clear_value_plane(std::byte* at, const Plane& plane, std::size_t n_valid) {
  const std::size_t position_bytes = plane.rows * plane.element_bytes;
  std::memset(at + n_valid * position_bytes, 0, (kTile - n_valid) * position_bytes);
  return at + kTile * position_bytes;
}

// The tiles of one layer's keys or values.
template <class ClearPlane>
std::byte* clear_tiles(std::byte* at, const Planes& planes, int n_heads, std::size_t n_valid,
                       const ClearPlane& clear) {
  for (int head = 0; head < n_heads; ++head) {
    for (std::size_t tile = 0; tile < kernels::kKvPageTiles; ++tile) {
      const std::size_t first = tile * kTile;
      const std::size_t n = n_valid <= first ? 0 : std::min(n_valid - first, kTile);
      at = clear(at, planes.scales, n);
      at = clear(at, planes.elements, n);
    }
  }
  return at;
}

}  // namespace

void clear_positions_from(std::byte* page, const KvPageShape& shape, int n_valid) {
  const auto n = static_cast<std::size_t>(n_valid);
  const Planes keys = planes_of(shape.types.key, shape.head_dim);
  const Planes values = planes_of(shape.types.value, shape.head_dim);
  for (int layer = 0; layer < shape.n_layers; ++layer) {
    page = clear_tiles(page, keys, shape.n_kv_heads, n, clear_key_plane);
    page = clear_tiles(page, values, shape.n_kv_heads, n, clear_value_plane);
  }
}

}  // namespace foretoken::cache
