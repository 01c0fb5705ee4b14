// Rounding as the searches do it: adding 1.5 * 2^23 leaves the nearest integer (ties to even) in
// the low bits of the sum. Outside +-4194303 the bits wrap around, and the wrapped value, clamped,
// is what the reference writes; so it is part of the format's making, not an accident to avoid.
// Source: docs/quant-formats.md, "Making blocks"; nearest_int of llama.cpp de3ff815.
#pragma once

namespace foretoken::quant {
namespace {

constexpr float kRoundingMagic = 0x1.8p23F;
constexpr float kRoundingLimit = 4194303.0F;  // beyond it nearest() wraps
constexpr float kLeastMagnitude = 1e-15F;     // groups below it count as zeros

/// The nearest integer, wrapped into 23 bits; 0 for NaN.
template <class V>
typename V::I nearest(typename V::F v) {
  const typename V::I sum = V::bits(V::add(v, V::set(kRoundingMagic)));
  return V::sub_ints(V::and_ints(sum, V::set_int(0x7FFFFF)), V::set_int(0x400000));
}

/// nearest(v), clamped to low..high.
template <class V>
typename V::I nearest_clamped(typename V::F v, int low, int high) {
  return V::min_ints(V::max_ints(nearest<V>(v), V::set_int(low)), V::set_int(high));
}

/// nearest_clamped as a float. Without the detour through integers where kInRange promises that
/// |v| <= kRoundingLimit, or that nobody looks at the lane.
template <class V, bool kInRange>
typename V::F nearest_float(typename V::F v, float low, float high) {
  if constexpr (kInRange) {
    const typename V::F magic = V::set(kRoundingMagic);
    const typename V::F whole = V::sub(V::add(v, magic), magic);
    return V::min(V::max(whole, V::set(low)), V::set(high));
  } else {
    return V::to_float(nearest_clamped<V>(v, static_cast<int>(low), static_cast<int>(high)));
  }
}

/// a / b where b is not zero, else zero.
template <class V>
typename V::F divide_or_zero(typename V::F a, typename V::F b) {
  const typename V::F zero = V::set(0.0F);
  return V::select(V::unequal(b, zero), V::div(a, b), zero);
}

/// a / b where b is positive, else zero.
template <class V>
typename V::F divide_if_positive(typename V::F a, typename V::F b) {
  const typename V::F zero = V::set(0.0F);
  return V::select(V::less(zero, b), V::div(a, b), zero);
}

/// The element of largest magnitude, the first among equals, and that magnitude.
template <class V>
struct Extreme {
  typename V::F magnitude;
  typename V::F value;
};

template <class V>
Extreme<V> find_extreme(const typename V::F* x, int n) {
  Extreme<V> extreme{V::set(0.0F), V::set(0.0F)};
  for (int i = 0; i < n; ++i) {
    const typename V::F magnitude = V::abs(x[i]);
    extreme.value = V::select(V::less(extreme.magnitude, magnitude), x[i], extreme.value);
    extreme.magnitude = V::max(magnitude, extreme.magnitude);
  }
  return extreme;
}

/// The sum of squares of n values, first to last.
template <class V>
typename V::F sum_of_squares(const typename V::F* x, int n) {
  typename V::F sum = V::set(0.0F);
  for (int i = 0; i < n; ++i) sum = V::add(sum, V::mul(x[i], x[i]));
  return sum;
}

}  // namespace
}  // namespace foretoken::quant
