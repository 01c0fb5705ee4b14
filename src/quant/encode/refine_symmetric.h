// Q3_K's search without importance: codes l in [-m, m) of one scale, improved one by one. Starting
// from the plain rounding, up to five sweeps give every element the code that is best for the scale
// fitted to all the others, where that lowers the error weighted by x^2.
// A step needs the result of the one before, division included, so several groups are refined in
// turns: their steps fill each other's waiting times (Q3_K: 1.9 times the speed of one group).
// Source: docs/quant-formats.md, "Making blocks"; make_q3_quants of llama.cpp de3ff815.
#pragma once

#include "quant/encode/rounding.h"

namespace foretoken::quant {
namespace {

/// A group under refinement; the scale of its codes is sum_xl / sum_ll.
template <class V, int kN>
struct Refinement {
  typename V::F w[kN];  // x^2
  typename V::F wx[kN];
  typename V::F l[kN];
  typename V::F sum_xl;  // sum (w x) l
  typename V::F sum_ll;  // sum (w l) l
  typename V::M empty;   // nothing reaches kLeastMagnitude
};

template <class V, int kN>
Refinement<V, kN> start_refinement(int m, const typename V::F* x) {
  const Extreme<V> extreme = find_extreme<V>(x, kN);
  const auto inverse = V::div(V::set(static_cast<float>(-m)), extreme.value);
  Refinement<V, kN> group;
  group.empty = V::less(extreme.magnitude, V::set(kLeastMagnitude));
  group.sum_xl = V::set(0.0F);
  group.sum_ll = V::set(0.0F);
  for (int i = 0; i < kN; ++i) {
    group.w[i] = V::mul(x[i], x[i]);
    group.wx[i] = V::mul(group.w[i], x[i]);
    group.l[i] = nearest_float<V, true>(V::mul(inverse, x[i]), static_cast<float>(-m),
                                        static_cast<float>(m - 1));
    group.sum_xl = V::add(group.sum_xl, V::mul(group.wx[i], group.l[i]));
    group.sum_ll = V::add(group.sum_ll, V::mul(V::mul(group.w[i], group.l[i]), group.l[i]));
  }
  return group;
}

/// Moves code i where that helps; returns in which lanes it did.
template <class V, int kN>
typename V::M refine_code(Refinement<V, kN>& group, int m, int i, typename V::F x) {
  using F = typename V::F;
  using M = typename V::M;
  const F zero = V::set(0.0F);
  const F w = group.w[i];
  const F old = group.l[i];
  const F rest_xl = V::sub(group.sum_xl, V::mul(group.wx[i], old));
  const F rest_ll = V::sub(group.sum_ll, V::mul(V::mul(w, old), old));
  const F ideal = V::div(V::mul(x, rest_ll), rest_xl);
  const F moved = V::to_float(nearest_clamped<V>(ideal, -m, m - 1));
  const F xl = V::add(rest_xl, V::mul(group.wx[i], moved));
  const F ll = V::add(rest_ll, V::mul(V::mul(w, moved), moved));
  const M gains =
      V::less(V::mul(V::mul(group.sum_xl, group.sum_xl), ll), V::mul(V::mul(xl, xl), group.sum_ll));
  const M allowed = V::both(V::less(zero, rest_xl), V::less(zero, ll));
  const M better = V::both(V::both(allowed, gains), V::unequal(moved, old));
  group.l[i] = V::select(better, moved, old);
  group.sum_xl = V::select(better, xl, group.sum_xl);
  group.sum_ll = V::select(better, ll, group.sum_ll);
  return better;
}

/// Refines kTogether groups of kN elements that lie one after the other. Writes their codes
/// 0..2m-1 (0 in an empty group) and their scales.
template <class V, int kN, int kTogether>
void refine_symmetric(int m, const typename V::F* x, typename V::I* codes, typename V::F* scales) {
  Refinement<V, kN> groups[kTogether];
  for (int g = 0; g < kTogether; ++g) groups[g] = start_refinement<V, kN>(m, x + kN * g);
  for (int sweep = 0; sweep < 5; ++sweep) {
    bool changed = false;
    for (int i = 0; i < kN; ++i) {
      typename V::M moved[kTogether];
      for (int g = 0; g < kTogether; ++g) {
        moved[g] = refine_code<V, kN>(groups[g], m, i, x[kN * g + i]);
      }
      for (const auto& lanes : moved) changed = changed || V::any(lanes);
    }
    if (!changed) break;  // a lane that did not change would not change in another sweep either
  }
  for (int g = 0; g < kTogether; ++g) {
    const Refinement<V, kN>& group = groups[g];
    for (int i = 0; i < kN; ++i) {
      const auto code = V::add_ints(V::truncate(group.l[i]), V::set_int(m));
      codes[kN * g + i] = V::select_ints(group.empty, V::set_int(0), code);
    }
    scales[g] =
        V::select(group.empty, V::set(0.0F), divide_if_positive<V>(group.sum_xl, group.sum_ll));
  }
}

}  // namespace
}  // namespace foretoken::quant
