// Search for one scale s so that x >= 0 is near s * l with whole numbers l in [0, m]: the second
// level of the K formats, where x are the scales (or minima) of a block's groups. A lane is a
// block. Codes are kept in a byte: that of a negative x, which rounding in the first level may
// leave behind, wraps as the reference's does. Source: docs/quant-formats.md, "Making blocks";
// make_qp_quants of llama.cpp de3ff815.
#pragma once

#include "quant/encode/rounding.h"

namespace foretoken::quant {
namespace {

/// sum (w d) d with d = x - s * l, s = 1 / inverse and l = limit(round(inverse * x)).
template <class V, int kN, class Limit>
typename V::F positive_error(const typename V::F* x, const typename V::F* w, typename V::F inverse,
                             const Limit& limit) {
  using F = typename V::F;
  const F scale = V::div(V::set(1.0F), inverse);
  F error = V::set(0.0F);
  for (int i = 0; i < kN; ++i) {
    const F l = V::to_float(limit(nearest<V>(V::mul(inverse, x[i]))));
    const F off = V::sub(x[i], V::mul(scale, l));
    error = V::add(error, V::mul(V::mul(w[i], off), off));
  }
  return error;
}

/// Writes kN codes in a byte each (0..m for x >= 0; all 0 where no x reaches kLeastMagnitude) and
/// returns the scale.
template <class V, int kN>
typename V::F search_positive(int m, const typename V::F* x, const typename V::F* w,
                              typename V::I* codes) {
  using F = typename V::F;
  using I = typename V::I;
  using M = typename V::M;
  const F zero = V::set(0.0F);
  const I top = V::set_int(m);
  const I byte = V::set_int(255);
  F most = zero;
  for (int i = 0; i < kN; ++i) most = V::max(most, x[i]);
  const M empty = V::less(most, V::set(kLeastMagnitude));

  F inverse = V::div(V::set(static_cast<float>(m)), most);
  // The first candidate's codes are bytes, not limited to m; the others' are limited, not bytes.
  const auto as_byte = [byte](I l) { return V::and_ints(l, byte); };
  const auto up_to_top = [top](I l) { return V::min_ints(l, top); };
  F least_error = positive_error<V, kN>(x, w, inverse, as_byte);
  for (int k = -4; k <= 4; ++k) {
    if (k == 0) continue;
    const float steps = 0.1F * static_cast<float>(k) + static_cast<float>(m);
    const F trial = V::div(V::set(steps), most);
    const F error = positive_error<V, kN>(x, w, trial, up_to_top);
    const M better = V::less(error, least_error);
    inverse = V::select(better, trial, inverse);
    least_error = V::select(better, error, least_error);
  }

  F sum_xl = zero;
  F sum_ll = zero;
  for (int i = 0; i < kN; ++i) {
    const I code = up_to_top(nearest<V>(V::mul(inverse, x[i])));
    const F l = V::to_float(code);
    codes[i] = as_byte(code);
    sum_xl = V::add(sum_xl, V::mul(V::mul(w[i], x[i]), l));
    sum_ll = V::add(sum_ll, V::mul(V::mul(w[i], l), l));
  }
  for (int sweep = 0; sweep < 5; ++sweep) {
    bool changed = false;
    for (int i = 0; i < kN; ++i) {
      const F l = V::to_float(codes[i]);
      const F wx = V::mul(w[i], x[i]);
      const F rest_xl = V::sub(sum_xl, V::mul(wx, l));
      const F rest_ll = V::sub(sum_ll, V::mul(V::mul(w[i], l), l));
      const I moved = up_to_top(nearest<V>(V::div(V::mul(x[i], rest_ll), rest_xl)));
      const F moved_l = V::to_float(moved);
      const F xl = V::add(rest_xl, V::mul(wx, moved_l));
      const F ll = V::add(rest_ll, V::mul(V::mul(w[i], moved_l), moved_l));
      const M allowed = V::both(V::less(zero, rest_xl), V::less(zero, rest_ll));
      const M gains = V::less(V::mul(V::mul(sum_xl, sum_xl), ll), V::mul(V::mul(xl, xl), sum_ll));
      const M better = V::both(V::both(allowed, gains), V::unequal_ints(moved, codes[i]));
      changed = changed || V::any(better);
      codes[i] = V::select_ints(better, as_byte(moved), codes[i]);
      sum_xl = V::select(better, xl, sum_xl);
      sum_ll = V::select(better, ll, sum_ll);
    }
    if (!changed) break;
  }
  for (int i = 0; i < kN; ++i) codes[i] = V::select_ints(empty, V::set_int(0), codes[i]);
  return V::select(empty, zero, divide_if_positive<V>(sum_xl, sum_ll));
}

}  // namespace
}  // namespace foretoken::quant
