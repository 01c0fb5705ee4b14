// The vocabulary in which the matrix products are written, as plain loops: the definition of each
// name, and the level of processors without AVX2. A slice is kRows rows of a row group; the other
// levels keep the same arrays in registers.
//
// Bytes are 4 columns of kRows rows (weight_layout.h), Ints and Floats one number per row. The
// loops over rows are kept out of line: the templates unroll their callers dozens of times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/half.h"
#include "kernels/cpu/simd_scalar.h"

namespace foretoken::kernels {
namespace {

struct DotScalar {
  using Simd = Scalar;                            ///< sixteen floats, for norms and conversions
  static constexpr int kRows = 16;                ///< rows of a slice
  static constexpr int kStripColumns = 1;         ///< tokens of the widest strip
  static constexpr int kPanelRowGroups = 1;       ///< row groups multiplied together from a panel
  static constexpr bool kSaturates = false;       ///< dot products depend on the largest code
  static constexpr bool kIsLatencyBound = false;  ///< a dot product waits for itself
  struct Bytes {
    std::uint8_t at[4 * kRows];
  };
  struct Ints {
    std::int32_t at[kRows];
  };
  struct Floats {
    float at[kRows];
  };
  /// A dot product in progress.
  using Sum = Ints;

  static Bytes load_bytes(const std::uint8_t* p) {
    Bytes out;
    std::memcpy(out.at, p, sizeof(out.at));
    return out;
  }
  static void store_bytes(std::uint8_t* p, Bytes x) { std::memcpy(p, x.at, sizeof(x.at)); }
  /// Bits [kFrom, kFrom + kWidth) of every byte, moved to kTo; the others zero.
  template <int kFrom, int kWidth, int kTo>
  static Bytes take_bits(const Bytes& x) {
    return move_bits(x, kFrom, (1 << kWidth) - 1, kTo);
  }
  [[gnu::noinline]] static Bytes join(Bytes a, const Bytes& b) {
    for (int i = 0; i < 4 * kRows; ++i) a.at[i] = static_cast<std::uint8_t>(a.at[i] | b.at[i]);
    return a;
  }
  /// table[index], 16 entries; every index is below 16.
  [[gnu::noinline]] static Bytes look_up(const std::uint8_t* table, Bytes index) {
    for (std::uint8_t& b : index.at) b = table[b];
    return index;
  }

  static Ints zero_ints() { return {}; }
  static Ints broadcast_int(const std::int32_t* p) {
    return each_int([&](int) { return *p; });
  }
  static Ints load_u8(const std::uint8_t* p) {
    return each_int([&](int i) { return static_cast<std::int32_t>(p[i]); });
  }
  static Ints load_i8(const std::int8_t* p) {
    return each_int([&](int i) { return static_cast<std::int32_t>(p[i]); });
  }
  /// Two bytes per row as two int16 in one lane, the first in the low half.
  static Ints load_pairs(const std::uint8_t* p) {
    return each_int([&](int i) { return p[2 * i] | p[2 * i + 1] << 16; });
  }
  /// High nibbles of the bytes of load_pairs.
  static Ints high_nibbles(Ints pairs) {
    return each_int([&](int i) { return (pairs.at[i] >> 4) & 0x000F000F; });
  }
  /// Low nibble of the first (which = 0) or second byte of each row's pair.
  static Ints low_nibble_of_pair(const std::uint8_t* p, int which) {
    return each_int([&](int i) { return p[2 * i + which] & 15; });
  }
  static Ints load_ints(const std::int32_t* p) {
    return each_int([&](int i) { return p[i]; });
  }
  static void store_ints(std::int32_t* p, Ints x) { std::memcpy(p, x.at, sizeof(x.at)); }
  /// a * b + c
  [[gnu::noinline]] static Ints multiply_add(const Ints& a, const Ints& b, const Ints& c) {
    return each_int([&](int i) { return a.at[i] * b.at[i] + c.at[i]; });
  }
  /// sum + low half * low half + high half * high half, as int16.
  [[gnu::noinline]] static Ints add_pair_products(const Ints& sum, const Ints& pairs,
                                                  const Ints& pair) {
    return each_int([&](int i) {
      return sum.at[i] + low(pairs.at[i]) * low(pair.at[i]) + high(pairs.at[i]) * high(pair.at[i]);
    });
  }

  /// Dot products of codes 0 .. kMaxCode with signed activations: start (the correction for the
  /// code's offset), then steps 0, 1, 2 ... in order, then finish. kMaxCode = 255 says that the
  /// offset is 128 and that start is -128 times the sum of the activations; a level may then work
  /// with code - 128 and ignore start. Exact.
  template <int kMaxCode>
  static Sum start_sum(Ints start) {
    return start;
  }
  template <int kMaxCode, int kStep>
  static void add_products(Sum& sum, const Bytes& codes, const std::int8_t* activations) {
    add_four_columns(sum, codes, activations);
  }
  template <int kMaxCode, int kSteps>
  static Ints finish_sum(Sum sum) {
    return sum;
  }

  static Floats zero_floats() { return {}; }
  static Floats load(const float* p) {
    return each([&](int i) { return p[i]; });
  }
  static void store(float* p, Floats x) { std::memcpy(p, x.at, sizeof(x.at)); }
  [[gnu::noinline]] static Floats load_f16(const std::uint16_t* p) {
    return each([&](int i) { return f16_to_f32(p[i]); });
  }
  static Floats load_bf16(const std::uint16_t* p) {
    return each([&](int i) { return bf16_to_f32(p[i]); });
  }
  static Floats broadcast_float(const float* p) {
    return each([&](int) { return *p; });
  }
  static Floats to_floats(Ints x) {
    return each([&](int i) { return static_cast<float>(x.at[i]); });
  }
  static Floats add(Floats a, Floats b) {
    return each([&](int i) { return a.at[i] + b.at[i]; });
  }
  [[gnu::noinline]] static Floats multiply(const Floats& a, const Floats& b) {
    return each([&](int i) { return a.at[i] * b.at[i]; });
  }
  /// a * b + c, rounded once where the hardware can (not here).
  [[gnu::noinline]] static Floats multiply_add(const Floats& a, const Floats& b, const Floats& c) {
    return each([&](int i) { return a.at[i] * b.at[i] + c.at[i]; });
  }
  /// c - a * b, rounded once where the hardware can.
  [[gnu::noinline]] static Floats subtract_product(const Floats& c, const Floats& a,
                                                   const Floats& b) {
    return each([&](int i) { return c.at[i] - a.at[i] * b.at[i]; });
  }

  /// Sixteen values, already within -127 .. 127, rounded to nearest (ties to even).
  static void store_i8(std::int8_t* p, Scalar::F x) {
    for (int i = 0; i < 16; ++i) {
      // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. NaN gives some code.
      const float shifted = x.lane[i] + 0x1.8p23F;
      std::int32_t bits;
      std::memcpy(&bits, &shifted, sizeof(bits));
      p[i] = static_cast<std::int8_t>(bits & 0xFF);
    }
  }

 private:
  [[gnu::noinline]] static Bytes move_bits(Bytes x, int from, int mask, int to) {
    for (std::uint8_t& b : x.at) b = static_cast<std::uint8_t>(((b >> from) & mask) << to);
    return x;
  }
  [[gnu::noinline]] static void add_four_columns(Sum& sum, const Bytes& codes,
                                                 const std::int8_t* activations) {
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < 4; ++j) sum.at[i] += codes.at[4 * i + j] * activations[j];
    }
  }
  template <class Lane>
  static Ints each_int(Lane lane) {
    Ints out;
    for (int i = 0; i < kRows; ++i) out.at[i] = lane(i);
    return out;
  }
  template <class Lane>
  static Floats each(Lane lane) {
    Floats out;
    for (int i = 0; i < kRows; ++i) out.at[i] = lane(i);
    return out;
  }
  static std::int32_t low(std::int32_t x) { return static_cast<std::int16_t>(x & 0xFFFF); }
  static std::int32_t high(std::int32_t x) { return x >> 16; }
};

}  // namespace
}  // namespace foretoken::kernels
