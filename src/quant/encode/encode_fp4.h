// MXFP4 and NVFP4: a scale from the largest magnitude, then for each element the FP4 code with the
// least error, the lower one among equals. Importance does not enter.
// Source: docs/quant-formats.md, "Making blocks".
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/blocks.h"
#include "quant/decode.h"
#include "quant/encode/fp4_scale.h"
#include "quant/encode/tile.h"

namespace foretoken::quant {
namespace {

/// Values of the codes 0..7 under a scale.
template <class V>
struct Fp4Values {
  typename V::F of[8];
};

template <class V>
Fp4Values<V> fp4_values(typename V::F scale) {
  Fp4Values<V> values;
  for (int i = 0; i < 8; ++i) {
    values.of[i] = V::mul(V::set(static_cast<float>(kFp4Codebook[i])), scale);
  }
  return values;
}

/// The first of the 16 codes whose value is nearest to x. A value on the other side of zero is
/// never nearer than zero, so the search is one of |x| among the codes 0..7; code 8, minus zero,
/// loses to 0.
template <class V>
typename V::I nearest_fp4(const Fp4Values<V>& values, typename V::F x) {
  using F = typename V::F;
  using I = typename V::I;
  const F magnitude = V::abs(x);
  I code = V::set_int(0);
  F least = V::abs(V::sub(values.of[0], magnitude));
  for (int i = 1; i < 8; ++i) {
    const F error = V::abs(V::sub(values.of[i], magnitude));
    code = V::select_ints(V::less(error, least), V::set_int(i), code);
    least = V::min(error, least);
  }
  // The sign bit, moved to bit 3, where there is something to negate.
  const I sign = V::and_ints(V::template shift_right<28>(V::bits(x)), V::set_int(8));
  const auto some = V::unequal_ints(code, V::set_int(0));
  return V::or_ints(code, V::select_ints(some, sign, V::set_int(0)));
}

/// Bytes of 2n codes: code j low, code j + n high.
template <class V, int kHalf>
void put_fp4_codes(const Tile<V>& tile, std::size_t offset, typename V::F scale,
                   const typename V::F* x) {
  const Fp4Values<V> values = fp4_values<V>(scale);
  typename V::I bytes[kHalf];
  for (int j = 0; j < kHalf; ++j) {
    const typename V::I high = nearest_fp4<V>(values, x[j + kHalf]);
    bytes[j] = V::or_ints(nearest_fp4<V>(values, x[j]), V::template shift_left<4>(high));
  }
  put_bytes<V>(tile, offset, kHalf, bytes);
}

/// Writes scale_of(magnitude) to the byte at `offset` of each block; returns value_of(that byte).
template <class V, class ScaleOf, class ValueOf>
typename V::F put_fp4_scale(const Tile<V>& tile, std::size_t offset, typename V::F magnitude,
                            const ScaleOf& scale_of, const ValueOf& value_of) {
  float values[V::kLanes];
  V::store(values, magnitude);
  for (int lane = 0; lane < V::kLanes; ++lane) {
    const std::uint8_t scale = scale_of(values[lane]);
    tile.blocks[lane][offset] = static_cast<std::byte>(scale);
    values[lane] = value_of(scale);
  }
  return V::load(values);
}

template <class V>
void encode_mxfp4(const EncodeJob& job) {
  using F = typename V::F;
  for_each_tile<V, 32, sizeof(BlockMXFP4)>(job, [](const Tile<V>& tile) {
    F x[32];
    gather<V>(tile.elements, 0, 32, x);
    const F scale = put_fp4_scale<V>(tile, offsetof(BlockMXFP4, e),
                                     find_extreme<V>(x, 32).magnitude, mxfp4_scale, half_e8m0);
    put_fp4_codes<V, 16>(tile, offsetof(BlockMXFP4, qs), scale, x);
  });
}

template <class V>
void encode_nvfp4(const EncodeJob& job) {
  using F = typename V::F;
  for_each_tile<V, 64, sizeof(BlockNVFP4)>(job, [](const Tile<V>& tile) {
    for (std::size_t run = 0; run < 4; ++run) {
      F x[16];
      gather<V>(tile.elements, 16 * run, 16, x);
      const F sixth = V::div(find_extreme<V>(x, 16).magnitude, V::set(6.0F));
      const F scale =
          put_fp4_scale<V>(tile, offsetof(BlockNVFP4, s) + run, sixth, ue4m3_of, half_ue4m3);
      put_fp4_codes<V, 8>(tile, offsetof(BlockNVFP4, qs) + 8 * run, scale, x);
    }
  });
}

}  // namespace
}  // namespace foretoken::quant
