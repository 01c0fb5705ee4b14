// Searches for one scale s so that x is near s * l with whole numbers l in [-m, m). Each lane is a
// group of its own and computes in the order of the scalar definition, so all levels agree.
//   search_symmetric tries 19 scales around the one that maps the largest element to -m and keeps
//   the one with the least weighted error; refine_symmetric moves single codes instead.
// Source: docs/quant-formats.md, "Making blocks"; make_qx_quants and make_q3_quants of llama.cpp
// de3ff815.
#pragma once

#include "quant/encode/rounding.h"

namespace foretoken::quant {
namespace {

/// A scale, and what the codes follow from.
template <class V>
struct SymmetricFit {
  typename V::F scale;    // zero for an empty group
  typename V::F inverse;  // code = round(inverse * x)
  typename V::M empty;    // nothing reaches kLeastMagnitude
};

/// Sums A = sum (w x) l and B = sum (w l) l of one trial.
template <class V>
struct TrialSums {
  typename V::F xl;
  typename V::F ll;
};

template <class V, int kN>
TrialSums<V> try_inverse(typename V::F inverse, int m, const typename V::F* x,
                         const typename V::F* w, const typename V::F* wx) {
  using F = typename V::F;
  const float low = static_cast<float>(-m);
  const float high = static_cast<float>(m - 1);
  TrialSums<V> sums{V::set(0.0F), V::set(0.0F)};
  for (int i = 0; i < kN; ++i) {
    // |inverse * x| stays near m: inverse comes from the largest |x|.
    const F l = nearest_float<V, true>(V::mul(inverse, x[i]), low, high);
    sums.xl = V::add(sums.xl, V::mul(wx[i], l));
    sums.ll = V::add(sums.ll, V::mul(V::mul(w[i], l), l));
  }
  return sums;
}

/// Best scale for kN elements x with weights w.
template <class V, int kN>
SymmetricFit<V> search_symmetric(int m, const typename V::F* x, const typename V::F* w) {
  using F = typename V::F;
  using M = typename V::M;
  const F zero = V::set(0.0F);
  const Extreme<V> extreme = find_extreme<V>(x, kN);
  F wx[kN];
  for (int i = 0; i < kN; ++i) wx[i] = V::mul(w[i], x[i]);

  SymmetricFit<V> fit;
  fit.empty = V::less(extreme.magnitude, V::set(kLeastMagnitude));
  fit.inverse = V::div(V::set(static_cast<float>(-m)), extreme.value);
  const TrialSums<V> first = try_inverse<V, kN>(fit.inverse, m, x, w, wx);
  fit.scale = divide_or_zero<V>(first.xl, first.ll);
  F best = V::mul(fit.scale, first.xl);
  for (int k = -9; k <= 9; ++k) {
    if (k == 0) continue;
    const float steps = -(static_cast<float>(m) + 0.1F * static_cast<float>(k));
    const F inverse = V::div(V::set(steps), extreme.value);
    const TrialSums<V> sums = try_inverse<V, kN>(inverse, m, x, w, wx);
    const M better =
        V::both(V::less(zero, sums.ll), V::less(V::mul(best, sums.ll), V::mul(sums.xl, sums.xl)));
    if (!V::any(better)) continue;
    const F scale = V::div(sums.xl, sums.ll);
    fit.scale = V::select(better, scale, fit.scale);
    fit.inverse = V::select(better, inverse, fit.inverse);
    best = V::select(better, V::mul(scale, sums.xl), best);
  }
  fit.scale = V::select(fit.empty, zero, fit.scale);
  return fit;
}

/// Codes 0..2m-1 of a fit; 0 in an empty group.
template <class V>
typename V::I symmetric_code(const SymmetricFit<V>& fit, int m, typename V::F x) {
  using I = typename V::I;
  const I l = nearest_clamped<V>(V::mul(fit.inverse, x), -m, m - 1);
  return V::select_ints(fit.empty, V::set_int(0), V::add_ints(l, V::set_int(m)));
}

/// As search_symmetric with w = x * x, by moving codes: starting from the plain rounding, up to
/// five sweeps each give every element the code that is best for the scale fitted to the others.
/// Writes codes 0..2m-1; 0 in an empty group. Returns the scale.
template <class V, int kN>
typename V::F refine_symmetric(int m, const typename V::F* x, typename V::I* codes) {
  using F = typename V::F;
  using I = typename V::I;
  using M = typename V::M;
  const F zero = V::set(0.0F);
  const Extreme<V> extreme = find_extreme<V>(x, kN);
  const M empty = V::less(extreme.magnitude, V::set(kLeastMagnitude));
  const F inverse = V::div(V::set(static_cast<float>(-m)), extreme.value);

  F w[kN];
  F wx[kN];
  F l[kN];
  F sum_xl = zero;
  F sum_ll = zero;
  for (int i = 0; i < kN; ++i) {
    w[i] = V::mul(x[i], x[i]);
    wx[i] = V::mul(w[i], x[i]);
    l[i] = nearest_float<V, true>(V::mul(inverse, x[i]), static_cast<float>(-m),
                                  static_cast<float>(m - 1));
    sum_xl = V::add(sum_xl, V::mul(wx[i], l[i]));
    sum_ll = V::add(sum_ll, V::mul(V::mul(w[i], l[i]), l[i]));
  }
  for (int sweep = 0; sweep < 5; ++sweep) {
    bool changed = false;
    for (int i = 0; i < kN; ++i) {
      const F rest_xl = V::sub(sum_xl, V::mul(wx[i], l[i]));
      const F rest_ll = V::sub(sum_ll, V::mul(V::mul(w[i], l[i]), l[i]));
      const F ideal = V::div(V::mul(x[i], rest_ll), rest_xl);
      const F moved = V::to_float(nearest_clamped<V>(ideal, -m, m - 1));
      const F xl = V::add(rest_xl, V::mul(wx[i], moved));
      const F ll = V::add(rest_ll, V::mul(V::mul(w[i], moved), moved));
      const M gains = V::less(V::mul(V::mul(sum_xl, sum_xl), ll), V::mul(V::mul(xl, xl), sum_ll));
      const M allowed = V::both(V::less(zero, rest_xl), V::less(zero, ll));
      const M better = V::both(V::both(allowed, gains), V::unequal(moved, l[i]));
      changed = changed || V::any(better);
      l[i] = V::select(better, moved, l[i]);
      sum_xl = V::select(better, xl, sum_xl);
      sum_ll = V::select(better, ll, sum_ll);
    }
    if (!changed) break;  // a lane that did not change would not change in another sweep either
  }
  for (int i = 0; i < kN; ++i) {
    const I code = V::add_ints(V::truncate(l[i]), V::set_int(m));
    codes[i] = V::select_ints(empty, V::set_int(0), code);
  }
  return V::select(empty, zero, divide_if_positive<V>(sum_xl, sum_ll));
}

}  // namespace
}  // namespace foretoken::quant
