// Search for a scale s and a minimum -b so that x is near s * l - b with whole numbers l in [0, m].
// Each trial fixes the codes by a slightly different step, fits scale and minimum to them by
// weighted least squares, and stays if its error is the least so far; its minimum then is the
// origin of the next trials. Each lane is a group and computes in the scalar order.
// Source: docs/quant-formats.md, "Making blocks"; make_qkx2_quants and make_qkx3_quants (equal for
// finite data) of llama.cpp de3ff815.
#pragma once

#include "quant/encode/rounding.h"

namespace foretoken::quant {
namespace {

enum class AffineError { Absolute, Square };

/// Trial k = 0..last divides the range into first + step * k + m parts.
struct AffineTrials {
  float first;
  float step;
  int last;
};
constexpr AffineTrials kWeightedTrials{-0.9F, 0.05F, 36};  // wherever importance is known

template <class V>
struct AffineFit {
  typename V::F scale;    // zero where all elements are equal
  typename V::F minimum;  // b, what is subtracted
  typename V::F inverse;  // code = round(inverse * (x - origin))
  typename V::F origin;
  typename V::M constant;  // nothing to tell apart: all codes are 0
};

/// The group's sums that do not depend on a trial.
template <class V>
struct AffineGroup {
  const typename V::F* x;
  const typename V::F* w;
  typename V::F least;  // min x
  typename V::F most;   // max x
  typename V::F sum_w;
  typename V::F sum_wx;
};

template <class V, int kN>
AffineGroup<V> measure_group(const typename V::F* x, const typename V::F* w) {
  AffineGroup<V> group{x, w, x[0], x[0], w[0], V::mul(w[0], x[0])};
  for (int i = 1; i < kN; ++i) {
    group.least = V::min(x[i], group.least);
    group.most = V::max(x[i], group.most);
    group.sum_w = V::add(group.sum_w, w[i]);
    group.sum_wx = V::add(group.sum_wx, V::mul(w[i], x[i]));
  }
  return group;
}

/// sum w * |s l + low - x| or sum w * (s l + low - x)^2.
template <class V, int kN, AffineError kError>
typename V::F affine_error(const AffineGroup<V>& group, const typename V::F* l, typename V::F scale,
                           typename V::F low) {
  using F = typename V::F;
  F error = V::set(0.0F);
  for (int i = 0; i < kN; ++i) {
    const F off = V::sub(V::add(V::mul(scale, l[i]), low), group.x[i]);
    const F cost = kError == AffineError::Absolute ? V::abs(off) : V::mul(off, off);
    error = V::add(error, V::mul(group.w[i], cost));
  }
  return error;
}

/// Codes of one trial and the sums that the fit needs.
template <class V>
struct AffineSums {
  typename V::F l;
  typename V::F ll;
  typename V::F xl;
};

template <class V, int kN, bool kInRange>
AffineSums<V> affine_codes(const AffineGroup<V>& group, int m, typename V::F inverse,
                           typename V::F origin, typename V::F* l) {
  using F = typename V::F;
  AffineSums<V> sums{V::set(0.0F), V::set(0.0F), V::set(0.0F)};
  for (int i = 0; i < kN; ++i) {
    l[i] = nearest_float<V, kInRange>(V::mul(inverse, V::sub(group.x[i], origin)), 0.0F,
                                      static_cast<float>(m));
    const F wl = V::mul(group.w[i], l[i]);
    sums.l = V::add(sums.l, wl);
    sums.ll = V::add(sums.ll, V::mul(wl, l[i]));
    sums.xl = V::add(sums.xl, V::mul(wl, group.x[i]));
  }
  return sums;
}

/// affine_codes by the cheaper rounding where no code can leave its range: rounded subtraction and
/// multiplication are monotone, so the two ends of the group bound everything between them.
template <class V, int kN>
AffineSums<V> try_affine(const AffineGroup<V>& group, int m, typename V::F inverse,
                         typename V::F origin, typename V::M ignored, typename V::F* l) {
  using F = typename V::F;
  const F limit = V::set(kRoundingLimit);
  const F low_end = V::abs(V::mul(inverse, V::sub(group.least, origin)));
  const F high_end = V::abs(V::mul(inverse, V::sub(group.most, origin)));
  const auto in_range = V::both(V::less(low_end, limit), V::less(high_end, limit));
  return V::all(V::either(in_range, ignored))
             ? affine_codes<V, kN, true>(group, m, inverse, origin, l)
             : affine_codes<V, kN, false>(group, m, inverse, origin, l);
}

/// Best scale and minimum for kN elements x with weights w.
template <class V, int kN, AffineError kError>
AffineFit<V> search_affine(int m, const typename V::F* x, const typename V::F* w,
                           AffineTrials trials) {
  using F = typename V::F;
  using M = typename V::M;
  const F zero = V::set(0.0F);
  const AffineGroup<V> group = measure_group<V, kN>(x, w);
  F low = V::min(zero, group.least);  // the minimum may not be positive
  AffineFit<V> fit;
  fit.constant = V::equal(group.most, low);
  fit.origin = low;
  fit.inverse = V::div(V::set(static_cast<float>(m)), V::sub(group.most, low));
  fit.scale = V::div(V::set(1.0F), fit.inverse);

  F l[kN];
  try_affine<V, kN>(group, m, fit.inverse, low, fit.constant, l);
  F least_error = affine_error<V, kN, kError>(group, l, fit.scale, low);
  for (int k = 0; k <= trials.last; ++k) {
    const float parts = trials.first + trials.step * static_cast<float>(k) + static_cast<float>(m);
    const F inverse = V::div(V::set(parts), V::sub(group.most, low));
    const AffineSums<V> sums = try_affine<V, kN>(group, m, inverse, low, fit.constant, l);
    const F determinant = V::sub(V::mul(group.sum_w, sums.ll), V::mul(sums.l, sums.l));
    const M solvable = V::less(zero, determinant);
    if (!V::any(solvable)) continue;
    const F free_scale =
        V::div(V::sub(V::mul(group.sum_w, sums.xl), V::mul(group.sum_wx, sums.l)), determinant);
    const F free_low =
        V::div(V::sub(V::mul(sums.ll, group.sum_wx), V::mul(sums.l, sums.xl)), determinant);
    const M positive = V::less(zero, free_low);
    const F scale = V::select(positive, V::div(sums.xl, sums.ll), free_scale);
    const F new_low = V::select(positive, zero, free_low);
    const F error = affine_error<V, kN, kError>(group, l, scale, new_low);
    const M better = V::both(solvable, V::less(error, least_error));
    if (!V::any(better)) continue;
    fit.scale = V::select(better, scale, fit.scale);
    fit.inverse = V::select(better, inverse, fit.inverse);
    fit.origin = V::select(better, low, fit.origin);
    low = V::select(better, new_low, low);
    least_error = V::select(better, error, least_error);
  }
  // A constant group skips the search: its minimum is the first one.
  fit.scale = V::select(fit.constant, zero, fit.scale);
  low = V::select(fit.constant, V::min(zero, group.least), low);
  fit.minimum = V::negate(low);
  return fit;
}

/// Code 0..m of a fit.
template <class V>
typename V::I affine_code(const AffineFit<V>& fit, int m, typename V::F x) {
  const auto code = nearest_clamped<V>(V::mul(fit.inverse, V::sub(x, fit.origin)), 0, m);
  return V::select_ints(fit.constant, V::set_int(0), code);
}

}  // namespace
}  // namespace foretoken::quant
