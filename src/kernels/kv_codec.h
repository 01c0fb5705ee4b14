// Scalar reading and writing of one position in a key or value tile: the single definition of how
// a vector is rounded to a cache type and where its pieces lie (kv_layout.h draws the tiles).
// The reference backend, the store path of the CPU backend and the tests all use it; the fast
// attention has its own whole-tile decoders, which the tests compare with this one bit for bit.
// Source: docs/attention.md, "The cache"; the Q8_0 and Q4_0 rules are those of the file formats.
#pragma once

#include <cstddef>

#include "kernels/kv_layout.h"
#include "quant/type.h"

namespace foretoken::kernels {

/// Rounds the key `x` [head_dim] to `type` and writes it as position `slot` (0 .. 15) of `tile`.
/// Requires is_kv_type(type) and head_dim % 32 == 0. Other positions of the tile are untouched.
void encode_key(quant::Type type, const float* x, int head_dim, int slot, std::byte* tile);

/// As encode_key, for a value tile.
void encode_value(quant::Type type, const float* x, int head_dim, int slot, std::byte* tile);

/// Decodes position `slot` of a key tile into `out` [head_dim] f32; exact.
void decode_key(quant::Type type, const std::byte* tile, int head_dim, int slot, float* out);

/// As decode_key, for a value tile.
void decode_value(quant::Type type, const std::byte* tile, int head_dim, int slot, float* out);

}  // namespace foretoken::kernels
