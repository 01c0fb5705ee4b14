// Q1_0 and Q2_0: signs, and codes -1..2 of a scale that is the largest magnitude.
// Source: docs/quant-formats.md, "Making blocks"; ggml-quants.c of llama.cpp de3ff815.
#pragma once

#include <cstddef>

#include "quant/blocks.h"
#include "quant/encode/encode_float.h"
#include "quant/encode/tile.h"

namespace foretoken::quant {
namespace {

/// d = mean |x|; the bit of x >= 0 (so of -0).
template <class V>
void encode_q1_0(const EncodeJob& job) {
  using F = typename V::F;
  using I = typename V::I;
  for_each_tile<V, 128, sizeof(BlockQ1_0)>(job, [](const Tile<V>& tile) {
    F sum = V::set(0.0F);
    for (std::size_t word = 0; word < 4; ++word) {
      F x[32];
      gather<V>(tile.elements, 32 * word, 32, x);
      I bits = V::set_int(0);
      for (int e = 0; e < 32; ++e) sum = V::add(sum, V::abs(x[e]));
      for (int e = 31; e >= 0; --e) {
        const I bit = one_where<V>(V::at_least(x[e], V::set(0.0F)));
        bits = V::or_ints(V::template shift_left<1>(bits), bit);
      }
      put<V, 4>(tile, offsetof(BlockQ1_0, qs) + 4 * word, bits);
    }
    put<V, 2>(tile, offsetof(BlockQ1_0, d), V::to_f16(V::div(sum, V::set(128.0F))));
  });
}

/// d = max |x|; code = round(x / d) + 1.
template <class V>
void encode_q2_0(const EncodeJob& job) {
  using F = typename V::F;
  using I = typename V::I;
  for_each_tile<V, 64, sizeof(BlockQ2_0)>(job, [](const Tile<V>& tile) {
    F x[64];
    gather<V>(tile.elements, 0, 64, x);
    const F d = find_extreme<V>(x, 64).magnitude;
    const F inverse = divide_if_positive<V>(V::set(1.0F), d);
    put<V, 2>(tile, offsetof(BlockQ2_0, d), V::to_f16(d));
    I bytes[16];
    for (int i = 0; i < 16; ++i) {
      bytes[i] = V::set_int(0);
      for (int e = 3; e >= 0; --e) {
        const I rounded = round_away<V>(V::mul(x[4 * i + e], inverse));
        const I code = V::min_ints(V::max_ints(V::add_ints(rounded, V::set_int(1)), V::set_int(0)),
                                   V::set_int(3));
        bytes[i] = V::or_ints(V::template shift_left<2>(bytes[i]), code);
      }
    }
    put_bytes<V>(tile, offsetof(BlockQ2_0, qs), 16, bytes);
  });
}

}  // namespace
}  // namespace foretoken::quant
