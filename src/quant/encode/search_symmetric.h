// Search for one scale s so that x is near s * l with whole numbers l in [-m, m): 19 scales around
// the one that maps the largest element to -m are tried, and the one with the least weighted error
// stays. Each lane is a group of its own and computes in the order of the scalar definition, so all
// levels agree.
// Source: docs/quant-formats.md, "Making blocks"; make_qx_quants of llama.cpp de3ff815.
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

}  // namespace
}  // namespace foretoken::quant
