// IQ4_NL and IQ4_XS: 4-bit codes of the values V = kIq4Codebook, finer near zero. The scale of each
// group of 32 is the best of 16 that map the largest element near the end of the codebook.
// Source: docs/quant-formats.md, "Making blocks"; quantize_row_iq4_nl_impl of llama.cpp de3ff815.
#pragma once

#include <cstddef>

#include "quant/blocks.h"
#include "quant/encode/tile.h"

namespace foretoken::quant {
namespace {

/// The codebook as floats, and the 15 points halfway between neighbours.
struct Codebook {
  float values[16];
  float middles[15];
};

constexpr Codebook make_iq4_codebook() {
  Codebook book{};
  for (int i = 0; i < 16; ++i) book.values[i] = static_cast<float>(kIq4Codebook[i]);
  for (int i = 0; i < 15; ++i) book.middles[i] = (book.values[i] + book.values[i + 1]) / 2.0F;
  return book;
}
constexpr Codebook kIq4 = make_iq4_codebook();

/// Index of the nearest codebook value; ties go up, NaN to 15. The reference compares the distances
/// v - V[i] and V[i+1] - v, which are exact wherever they are close to equal, so counting the
/// middles that v has reached is the same.
template <class V>
typename V::I nearest_in_codebook(typename V::F v) {
  typename V::I index = V::set_int(0);
  for (const float middle : kIq4.middles) {
    index = V::add_ints(index, one_where<V>(V::not_less(v, V::set(middle))));
  }
  return index;
}

/// Best scale of 32 elements x with weights w; zero where nothing reaches kLeastMagnitude.
template <class V>
typename V::F search_codebook(const typename V::F* x, const typename V::F* w) {
  using F = typename V::F;
  const F zero = V::set(0.0F);
  const Extreme<V> extreme = find_extreme<V>(x, 32);
  const F end = V::set(kIq4.values[0]);
  F scale = zero;
  F best = zero;
  const auto attempt = [&](F inverse, bool is_first) {
    F sum_qx = zero;
    F sum_qq = zero;
    for (int e = 0; e < 32; ++e) {
      const F q = V::lookup16(kIq4.values, nearest_in_codebook<V>(V::mul(inverse, x[e])));
      const F wq = V::mul(w[e], q);
      sum_qx = V::add(sum_qx, V::mul(wq, x[e]));
      sum_qq = V::add(sum_qq, V::mul(wq, q));
    }
    const F fitted = divide_if_positive<V>(sum_qx, sum_qq);
    const auto gains =
        V::both(V::less(zero, sum_qq), V::less(V::mul(best, sum_qq), V::mul(sum_qx, sum_qx)));
    scale = is_first ? fitted : V::select(gains, fitted, scale);
    best = is_first ? V::mul(fitted, sum_qx) : V::select(gains, V::mul(fitted, sum_qx), best);
  };
  attempt(V::div(V::set(1.0F), V::div(V::negate(extreme.value), end)), true);
  for (int step = -7; step <= 7; ++step) {
    attempt(V::div(V::set(static_cast<float>(step) + kIq4.values[0]), extreme.value), false);
  }
  return V::select(V::less(extreme.magnitude, V::set(kLeastMagnitude)), zero, scale);
}

/// Weights of the n_groups groups of 32 of a block: x^2, or importance with the block's variance.
template <class V, int kElements>
void weigh_codebook_block(const Tile<V>& tile, bool has_importance, const typename V::F* x,
                          typename V::F* w) {
  if (has_importance) {
    const auto variance =
        V::mul(sum_of_squares<V>(x, kElements), V::set(2.0F / static_cast<float>(kElements)));
    weigh_by_importance<V>(tile, 0, kElements, x, variance, w);
  } else {
    for (int e = 0; e < kElements; ++e) w[e] = V::mul(x[e], x[e]);
  }
}

/// Codes of 32 elements under the scale whose reciprocal is `inverse`.
template <class V>
void put_codebook_codes(const Tile<V>& tile, std::size_t offset, typename V::F inverse,
                        const typename V::F* x) {
  typename V::I codes[32];
  for (int e = 0; e < 32; ++e) codes[e] = nearest_in_codebook<V>(V::mul(inverse, x[e]));
  put_nibbles_of_32<V>(tile, offset, codes);
}

template <class V>
void encode_iq4_nl(const EncodeJob& job) {
  using F = typename V::F;
  const bool has_importance = job.importance != nullptr;
  for_each_tile<V, 32, sizeof(BlockIQ4_NL)>(job, [has_importance](const Tile<V>& tile) {
    F x[32];
    F w[32];
    gather<V>(tile.elements, 0, 32, x);
    weigh_codebook_block<V, 32>(tile, has_importance, x, w);
    const F scale = search_codebook<V>(x, w);
    put<V, 2>(tile, offsetof(BlockIQ4_NL, d), V::to_f16(scale));
    const F inverse = divide_or_zero<V>(V::set(1.0F), scale);
    put_codebook_codes<V>(tile, offsetof(BlockIQ4_NL, qs), inverse, x);
  });
}

/// As IQ4_NL per group; the groups' scales become multiples of d = -(the largest) / 32, and codes
/// are those of the multiples of the unrounded d.
template <class V>
void encode_iq4_xs(const EncodeJob& job) {
  using F = typename V::F;
  using I = typename V::I;
  const bool has_importance = job.importance != nullptr;
  for_each_tile<V, 256, sizeof(BlockIQ4_XS)>(job, [has_importance](const Tile<V>& tile) {
    F x[256];
    F w[256];
    gather<V>(tile.elements, 0, 256, x);
    weigh_codebook_block<V, 256>(tile, has_importance, x, w);
    F scales[8];
    for (int g = 0; g < 8; ++g) scales[g] = search_codebook<V>(x + 32 * g, w + 32 * g);
    const F d = V::div(V::negate(find_extreme<V>(scales, 8).value), V::set(32.0F));
    const F inverse = divide_or_zero<V>(V::set(1.0F), d);
    put<V, 2>(tile, offsetof(BlockIQ4_XS, d), V::to_f16(d));

    I low[4];
    I high = V::set_int(0);
    for (int g = 7; g >= 0; --g) {
      const I multiple = nearest_clamped<V>(V::mul(inverse, scales[g]), -32, 31);
      const F step = V::mul(d, V::to_float(multiple));
      put_codebook_codes<V>(tile, offsetof(BlockIQ4_XS, qs) + 16 * static_cast<std::size_t>(g),
                            divide_or_zero<V>(V::set(1.0F), step), x + 32 * g);
      const I stored = V::add_ints(multiple, V::set_int(32));
      const I nibble = V::and_ints(stored, V::set_int(15));
      low[g / 2] = g % 2 != 0 ? V::template shift_left<4>(nibble) : V::or_ints(low[g / 2], nibble);
      high = V::or_ints(V::template shift_left<2>(high), V::template shift_right<4>(stored));
    }
    put<V, 2>(tile, offsetof(BlockIQ4_XS, scales_h), high);
    put_bytes<V>(tile, offsetof(BlockIQ4_XS, scales_l), 4, low);
  });
}

}  // namespace
}  // namespace foretoken::quant
