// One number at a time: the vocabulary of the searches in plain C++, and the definition of what
// each word of it means. lanes_avx2.h and lanes_avx512.h say the same words for 8 and 16 lanes.
// Everything sits in an anonymous namespace: each file compiled for an instruction set gets its own
// copy, and templates over the type get internal linkage with it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace foretoken::quant {
namespace {

struct LanesScalar {
  using F = float;
  using I = std::int32_t;
  using M = bool;  // which lanes
  static constexpr int kLanes = 1;

  static F set(float x) { return x; }
  static I set_int(std::int32_t x) { return x; }
  static F load(const float* p) { return *p; }
  static void store(float* p, F x) { *p = x; }
  static void store_ints(std::int32_t* p, I x) { *p = x; }
  /// Turns kLanes elements of kLanes rows round: lane j of out[i] = rows[j][offset + i].
  static void load_columns(const float* const* rows, std::size_t offset, F* out) {
    *out = rows[0][offset];
  }

  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F sqrt(F x) { return __builtin_sqrtf(x); }
  static F abs(F x) { return __builtin_fabsf(x); }
  static F negate(F x) { return -x; }
  /// The magnitude of `magnitude` with the sign of `sign`.
  static F copy_sign(F magnitude, F sign) { return __builtin_copysignf(magnitude, sign); }
  /// a < b ? a : b, hence b where either is NaN or both are zeros.
  static F min(F a, F b) { return a < b ? a : b; }
  static F max(F a, F b) { return a > b ? a : b; }
  /// Largest lane.
  static float largest(F x) { return x; }

  static M less(F a, F b) { return a < b; }
  static M not_less(F a, F b) { return !(a < b); }
  static M at_least(F a, F b) { return a >= b; }
  static M equal(F a, F b) { return a == b; }
  static M unequal(F a, F b) { return a != b; }  // true with NaN
  static M unequal_ints(I a, I b) { return a != b; }
  static M both(M a, M b) { return a && b; }
  static M either(M a, M b) { return a || b; }
  static bool any(M m) { return m; }
  static bool all(M m) { return m; }
  /// a in the lanes of m, b elsewhere.
  static F select(M m, F a, F b) { return m ? a : b; }
  static I select_ints(M m, I a, I b) { return m ? a : b; }

  static I bits(F x) { return std::bit_cast<std::int32_t>(x); }
  static F from_bits(I x) { return std::bit_cast<float>(x); }
  static F to_float(I x) { return static_cast<float>(x); }
  /// Towards zero; INT_MIN for NaN and whatever does not fit, as x86 converts.
  static I truncate(F x) {
    return __builtin_fabsf(x) < 0x1p31F ? static_cast<std::int32_t>(x) : INT32_MIN;
  }
  static I add_ints(I a, I b) {  // wraps
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
  }
  static I sub_ints(I a, I b) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) - static_cast<std::uint32_t>(b));
  }
  static I and_ints(I a, I b) { return a & b; }
  static I or_ints(I a, I b) { return a | b; }
  static I min_ints(I a, I b) { return a < b ? a : b; }
  static I max_ints(I a, I b) { return a > b ? a : b; }
  template <int kBits>
  static I shift_left(I x) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(x) << kBits);
  }
  template <int kBits>
  static I shift_right(I x) {  // of the bits, zeros come in
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(x) >> kBits);
  }
  /// The low byte as a signed number.
  static I low_i8(I x) { return static_cast<std::int8_t>(x & 255); }
  /// table[x] of 16 values; x in 0..15.
  static F lookup16(const float* table, I x) { return table[x]; }

  /// binary16 bits, nearest even, in the low half of the lane; and back.
  static I to_f16(F x) { return f32_to_f16(x); }
  static F from_f16(I x) { return f16_to_f32(static_cast<std::uint16_t>(x)); }
  /// kLanes numbers of 16 (8) bits: the low bits of each lane.
  static void store_u16(std::byte* p, I x) {
    const auto narrow = static_cast<std::uint16_t>(x & 0xFFFF);
    std::memcpy(p, &narrow, sizeof(narrow));
  }
  static void store_u8(std::byte* p, I x) { *p = static_cast<std::byte>(x & 0xFF); }
};

}  // namespace
}  // namespace foretoken::quant
