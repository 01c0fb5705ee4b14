// A lane is a block: the matrix, one long row of blocks, is cut into tiles of kLanes blocks, their
// elements turned round so that register e holds element e of each block. Everything after that is
// the scalar algorithm with registers for numbers, and its results are written block by block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "quant/encode/encode_table.h"
#include "quant/encode/rounding.h"

namespace foretoken::quant {
namespace {

template <class V>
struct Tile {
  const float* elements[V::kLanes];
  const float* importance[V::kLanes];  // unset without an importance vector
  std::byte* blocks[V::kLanes];
  std::size_t rows[V::kLanes];  // the matrix row of each block
};

/// Calls encode(tile) for all blocks. The last tile is filled up with copies of the last block,
/// which is then written more than once, with the same bytes.
template <class V, int kElements, int kBytes, class Encode>
void for_each_tile(const EncodeJob& job, const Encode& encode) {
  const std::size_t per_row = job.n_cols / kElements;
  const std::size_t n_blocks = job.n_rows * per_row;
  std::size_t block = 0;
  std::size_t row = 0;
  std::size_t in_row = 0;
  for (std::size_t first = 0; first < n_blocks; first += V::kLanes) {
    Tile<V> tile{};
    for (int lane = 0; lane < V::kLanes; ++lane) {
      tile.elements[lane] = job.x + block * kElements;
      if (job.importance != nullptr) tile.importance[lane] = job.importance + in_row * kElements;
      tile.blocks[lane] = job.out + block * kBytes;
      tile.rows[lane] = row;
      if (block + 1 == n_blocks) continue;
      ++block;
      if (++in_row == per_row) {
        in_row = 0;
        ++row;
      }
    }
    encode(tile);
  }
}

/// out[e] = element offset + e of each lane's pointer, e < n; n is a multiple of 16.
template <class V>
void gather(const float* const* lanes, std::size_t offset, int n, typename V::F* out) {
  for (int e = 0; e < n; e += V::kLanes) {
    V::load_columns(lanes, offset + static_cast<std::size_t>(e), out + e);
  }
}

/// Weights q * sqrt(variance + x^2) of n elements from `offset` on.
template <class V>
void weigh_by_importance(const Tile<V>& tile, std::size_t offset, int n, const typename V::F* x,
                         typename V::F variance, typename V::F* w) {
  gather<V>(tile.importance, offset, n, w);
  for (int e = 0; e < n; ++e) {
    w[e] = V::mul(w[e], V::sqrt(V::add(variance, V::mul(x[e], x[e]))));
  }
}

/// Writes the low kBytes bytes (1, 2 or 4) of each lane of x at `offset` of its block.
template <class V, int kBytes>
void put(const Tile<V>& tile, std::size_t offset, typename V::I x) {
  static_assert(kBytes == 1 || kBytes == 2 || kBytes == 4);
  std::int32_t values[V::kLanes];
  V::store_ints(values, x);
  for (int lane = 0; lane < V::kLanes; ++lane) {
    std::memcpy(tile.blocks[lane] + offset, &values[lane], kBytes);  // little-endian
  }
}

/// Four bytes as one word, the first lowest. Each must be in 0..255.
template <class V>
typename V::I word_of(typename V::I b0, typename V::I b1, typename V::I b2, typename V::I b3) {
  return V::or_ints(V::or_ints(b0, V::template shift_left<8>(b1)),
                    V::or_ints(V::template shift_left<16>(b2), V::template shift_left<24>(b3)));
}

/// Writes n bytes (a multiple of 4), each a lane's low byte, at `offset`.
template <class V>
void put_bytes(const Tile<V>& tile, std::size_t offset, int n, const typename V::I* bytes) {
  const typename V::I low = V::set_int(255);
  for (int i = 0; i < n; i += 4) {
    put<V, 4>(tile, offset + static_cast<std::size_t>(i),
              word_of<V>(V::and_ints(bytes[i], low), V::and_ints(bytes[i + 1], low),
                         V::and_ints(bytes[i + 2], low), V::and_ints(bytes[i + 3], low)));
  }
}

/// 16 bytes of 32 four-bit codes: code j low, code j + 16 high.
template <class V>
void put_nibbles_of_32(const Tile<V>& tile, std::size_t offset, const typename V::I* codes) {
  const typename V::I nibble = V::set_int(15);
  typename V::I bytes[16];
  for (int j = 0; j < 16; ++j) {
    bytes[j] = V::or_ints(V::and_ints(codes[j], nibble),
                          V::template shift_left<4>(V::and_ints(codes[j + 16], nibble)));
  }
  put_bytes<V>(tile, offset, 16, bytes);
}

/// The bits of a mask as 0 or 1 in each lane.
template <class V>
typename V::I one_where(typename V::M mask) {
  return V::select_ints(mask, V::set_int(1), V::set_int(0));
}

}  // namespace
}  // namespace foretoken::quant
