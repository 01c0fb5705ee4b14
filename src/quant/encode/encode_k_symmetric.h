// Q3_K and Q6_K: 16 groups of 16 with a signed scale each, again multiples of one number per block.
// Source: docs/quant-formats.md, "Making blocks"; quantize_row_q{3,6}_K_* of llama.cpp de3ff815.
#pragma once

#include <cstddef>

#include "quant/blocks.h"
#include "quant/encode/encode_k_affine.h"
#include "quant/encode/refine_symmetric.h"
#include "quant/encode/search_symmetric.h"
#include "quant/encode/tile.h"

namespace foretoken::quant {
namespace {

/// Codes 0..2m-1 of 16 elements for the step a reader will see, or those already in `codes` where
/// it became zero.
template <class V>
void round_symmetric_anew(int m, typename V::F step, const typename V::F* x, typename V::I* codes) {
  const auto vanished = V::equal(step, V::set(0.0F));
  for (int e = 0; e < 16; ++e) {
    const auto l = nearest_clamped<V>(V::div(x[e], step), -m, m - 1);
    codes[e] = V::select_ints(vanished, codes[e], V::add_ints(l, V::set_int(m)));
  }
}

/// A first fit by search_symmetric with its codes; returns the scale.
template <class V>
typename V::F fit_symmetric_group(int m, const typename V::F* x, const typename V::F* w,
                                  typename V::I* codes) {
  const SymmetricFit<V> fit = search_symmetric<V, 16>(m, x, w);
  for (int e = 0; e < 16; ++e) codes[e] = symmetric_code<V>(fit, m, x[e]);
  return fit.scale;
}

/// Q3_K's group scales and their codes 0..63; returns d. With importance both levels are searched.
template <class V>
typename V::F fit_q3_K(const Tile<V>& tile, bool has_importance, const typename V::F* x,
                       typename V::I* codes, typename V::I* scale_codes) {
  using F = typename V::F;
  F scales[16];
  if (has_importance) {
    const F variance = block_variance<V>(x, 2.0F);
    F group_weights[16];
    for (int g = 0; g < 16; ++g) {
      F w[16];
      weigh_by_importance<V>(tile, static_cast<std::size_t>(16 * g), 16, x + 16 * g, variance, w);
      group_weights[g] = sum_of<V>(w, 16);
      scales[g] = fit_symmetric_group<V>(4, x + 16 * g, w, codes + 16 * g);
    }
    return fit_symmetric_group<V>(32, scales, group_weights, scale_codes);
  }
  for (int g = 0; g < 16; g += 4) {
    refine_symmetric<V, 16, 4>(4, x + 16 * g, codes + 16 * g, scales + g);
  }
  const F largest = find_extreme<V>(scales, 16).value;
  const auto some = V::unequal(largest, V::set(0.0F));
  const F inverse = V::div(V::set(-32.0F), largest);
  for (int g = 0; g < 16; ++g) {
    const auto l = V::low_i8(nearest<V>(V::mul(inverse, scales[g])));
    const auto limited = V::min_ints(V::max_ints(l, V::set_int(-32)), V::set_int(31));
    scale_codes[g] = V::select_ints(some, V::add_ints(limited, V::set_int(32)), V::set_int(0));
  }
  return V::select(some, V::div(V::set(1.0F), inverse), V::set(0.0F));
}

/// 12 bytes of 16 six-bit numbers: low nibbles of 0..7 and 8..15 in bytes 0..7, two upper bits of
/// number g at bits 2 * (g / 4) of byte 8 + g % 4.
template <class V>
void put_q3_K_scales(const Tile<V>& tile, std::size_t offset, const typename V::I* codes) {
  using I = typename V::I;
  const I nibble = V::set_int(15);
  I bytes[12];
  for (int i = 0; i < 8; ++i) {
    bytes[i] = V::or_ints(V::and_ints(codes[i], nibble),
                          V::template shift_left<4>(V::and_ints(codes[i + 8], nibble)));
  }
  for (int i = 0; i < 4; ++i) {
    bytes[8 + i] = V::set_int(0);
    for (int g = 12 + i; g >= 0; g -= 4) {
      bytes[8 + i] =
          V::or_ints(V::template shift_left<2>(bytes[8 + i]), V::template shift_right<4>(codes[g]));
    }
  }
  put_bytes<V>(tile, offset, 12, bytes);
}

template <class V>
void encode_q3_K(const EncodeJob& job) {
  using F = typename V::F;
  using I = typename V::I;
  const bool has_importance = job.importance != nullptr;
  for_each_tile<V, 256, sizeof(BlockQ3_K)>(job, [has_importance](const Tile<V>& tile) {
    F x[256];
    I codes[256];
    I scale_codes[16];
    gather<V>(tile.elements, 0, 256, x);
    const I d = V::to_f16(fit_q3_K<V>(tile, has_importance, x, codes, scale_codes));
    for (int g = 0; g < 16; ++g) {
      const I scale = V::sub_ints(scale_codes[g], V::set_int(32));
      round_symmetric_anew<V>(4, V::mul(V::from_f16(d), V::to_float(scale)), x + 16 * g,
                              codes + 16 * g);
    }
    I high_bits[32];
    for (int e = 0; e < 32; ++e) {
      high_bits[e] = V::set_int(0);
      for (int g = 7; g >= 0; --g) {
        high_bits[e] = V::or_ints(V::template shift_left<1>(high_bits[e]),
                                  V::template shift_right<2>(codes[32 * g + e]));
      }
    }
    put_bytes<V>(tile, offsetof(BlockQ3_K, hmask), 32, high_bits);
    for (I& code : codes) code = V::and_ints(code, V::set_int(3));
    put_planes<V>(tile, offsetof(BlockQ3_K, qs), codes);
    put_q3_K_scales<V>(tile, offsetof(BlockQ3_K, scales), scale_codes);
    put<V, 2>(tile, offsetof(BlockQ3_K, d), d);
  });
}

/// ql and qh of 256 six-bit codes.
template <class V>
void put_q6_K_codes(const Tile<V>& tile, const typename V::I* codes) {
  using I = typename V::I;
  for (std::size_t half = 0; half < 2; ++half) {
    const I* q = codes + 128 * half;
    I low[64];
    I high[32];
    for (int e = 0; e < 64; ++e) {
      const I nibble = V::set_int(15);
      low[e] = V::or_ints(V::and_ints(q[e], nibble),
                          V::template shift_left<4>(V::and_ints(q[e + 64], nibble)));
    }
    for (int e = 0; e < 32; ++e) {
      high[e] = V::set_int(0);
      for (int quarter = 3; quarter >= 0; --quarter) {
        high[e] = V::or_ints(V::template shift_left<2>(high[e]),
                             V::template shift_right<4>(q[e + 32 * quarter]));
      }
    }
    put_bytes<V>(tile, offsetof(BlockQ6_K, ql) + 64 * half, 64, low);
    put_bytes<V>(tile, offsetof(BlockQ6_K, qh) + 32 * half, 32, high);
  }
}

template <class V>
void encode_q6_K(const EncodeJob& job) {
  using F = typename V::F;
  using I = typename V::I;
  const bool has_importance = job.importance != nullptr;
  for_each_tile<V, 256, sizeof(BlockQ6_K)>(job, [has_importance](const Tile<V>& tile) {
    F x[256];
    F w[16];
    F scales[16];
    I codes[256];
    gather<V>(tile.elements, 0, 256, x);
    for (int g = 0; g < 16; ++g) {
      if (has_importance) {
        gather<V>(tile.importance, static_cast<std::size_t>(16 * g), 16, w);
      } else {
        for (int e = 0; e < 16; ++e) w[e] = V::mul(x[16 * g + e], x[16 * g + e]);
      }
      scales[g] = fit_symmetric_group<V>(32, x + 16 * g, w, codes + 16 * g);
    }
    const Extreme<V> largest = find_extreme<V>(scales, 16);
    const auto empty = V::less(largest.magnitude, V::set(kLeastMagnitude));
    const I zero = V::set_int(0);
    const F inverse = V::div(V::set(-128.0F), largest.value);
    const I d = V::select_ints(empty, zero, V::to_f16(V::div(V::set(1.0F), inverse)));
    I scale_codes[16];
    for (int g = 0; g < 16; ++g) {
      const I l = V::min_ints(nearest<V>(V::mul(inverse, scales[g])), V::set_int(127));
      scale_codes[g] = V::select_ints(empty, zero, V::low_i8(l));
      round_symmetric_anew<V>(32, V::mul(V::from_f16(d), V::to_float(scale_codes[g])), x + 16 * g,
                              codes + 16 * g);
    }
    // A block without scales is all zeros, not codes of zeros.
    if (V::any(empty)) {
      for (I& code : codes) code = V::select_ints(empty, zero, code);
    }
    put_q6_K_codes<V>(tile, codes);
    put_bytes<V>(tile, offsetof(BlockQ6_K, scales), 16, scale_codes);
    put<V, 2>(tile, offsetof(BlockQ6_K, d), d);
  });
}

}  // namespace
}  // namespace foretoken::quant
