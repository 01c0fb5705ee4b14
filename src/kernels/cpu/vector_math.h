// e^x and its relatives for sixteen lanes, the same polynomial at every level.
// e^x: x = n ln 2 + r with |r| <= ln(2)/2, e^r = 1 + r + r^2 P(r), then the exponent is added in
// two halves so that results below the smallest normal are rounded once. log(1+y) for y in (0, 1]:
// 2 atanh(s), s = y / (2 + y). The coefficients are minimax fits of relative error (3e-9 and
// 5e-9 before rounding); the whole stays within 2 units in the last place.
// Source: Cody & Waite (1980) for the two-part ln 2; the fits are our own (docs/delta-net.md).
#pragma once

namespace foretoken::kernels {

/// e^x. Infinity above 88.73, 0 below -103.98, NaN for NaN.
template <class V>
typename V::F exp_of(typename V::F x) {
  using F = typename V::F;
  // NaN stays: both functions return their second operand then.
  x = V::min(V::set(89.0F), V::max(V::set(-104.0F), x));
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const F magic = V::set(0x1.8p23F);
  const F shifted = V::fma(x, V::set(0x1.715476p+0F), magic);
  const F n = V::sub(shifted, magic);
  F r = V::fma(n, V::set(-0.693359375F), x);  // nine bits: exact product
  r = V::fma(n, V::set(2.12194440054690583e-4F), r);
  F p = V::set(1.3814465e-3F);
  p = V::fma(p, r, V::set(8.368781e-3F));
  p = V::fma(p, r, V::set(4.1668393e-2F));
  p = V::fma(p, r, V::set(1.666652e-1F));
  p = V::fma(p, r, V::set(4.9999994e-1F));
  const F y = V::add(V::set(1.0F), V::fma(V::mul(r, r), p, r));
  const auto exponent = V::sub_int(V::bits(shifted), V::bits(magic));
  const auto half = V::half_int(exponent);
  const auto bias = V::set_int(127);
  const F first = V::from_bits(V::to_exponent(V::add_int(half, bias)));
  const F second = V::from_bits(V::to_exponent(V::add_int(V::sub_int(exponent, half), bias)));
  return V::mul(V::mul(y, first), second);
}

/// 1 / (1 + e^-x)
template <class V>
typename V::F sigmoid_of(typename V::F x) {
  const auto one = V::set(1.0F);
  return V::div(one, V::add(one, exp_of<V>(V::sub(V::zero(), x))));
}

/// x / (1 + e^-x)
template <class V>
typename V::F silu_of(typename V::F x) {
  return V::div(x, V::add(V::set(1.0F), exp_of<V>(V::sub(V::zero(), x))));
}

/// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|); equals x above 20, as ops.h asks.
template <class V>
typename V::F softplus_of(typename V::F x) {
  using F = typename V::F;
  const F y = exp_of<V>(V::sub(V::zero(), V::abs(x)));
  const F s = V::div(y, V::add(V::set(2.0F), y));
  const F z = V::mul(s, s);
  F p = V::set(1.401564e-1F);
  p = V::fma(p, z, V::set(1.3998932e-1F));
  p = V::fma(p, z, V::set(2.0010886e-1F));
  p = V::fma(p, z, V::set(3.3333206e-1F));
  const F twice = V::add(s, s);
  return V::add(V::max(V::zero(), x), V::fma(V::mul(twice, z), p, twice));
}

}  // namespace foretoken::kernels
