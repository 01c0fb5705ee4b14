// Sixteen floats at once as an array: the vocabulary of simd_avx512.h, where the meaning of each
// name is stated, for processors without AVX2. Products and sums are rounded separately here, so
// results differ from the other levels in the last bits.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace foretoken::kernels {
namespace {

struct Scalar {
  struct F {
    float lane[16];
  };
  struct I {
    std::int32_t lane[16];
  };
  static constexpr int kStrips = 1;
  static constexpr int kQueryRows = 1;

  static F zero() { return set(0.0F); }
  static F set(float x) {
    return each([&](int) { return x; });
  }
  static F load(const float* p) {
    return each([&](int i) { return p[i]; });
  }
  static void store(float* p, F x) { std::memcpy(p, x.lane, sizeof(x.lane)); }

  static F add(F a, F b) {
    return each([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static F sub(F a, F b) {
    return each([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  static F mul(F a, F b) {
    return each([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static F div(F a, F b) {
    return each([&](int i) { return a.lane[i] / b.lane[i]; });
  }
  static F fma(F a, F b, F c) {
    return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
  }
  static F max(F a, F b) {
    return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static F min(F a, F b) {
    return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static F abs(F x) {
    return each([&](int i) { return x.lane[i] < 0.0F ? -x.lane[i] : x.lane[i]; });
  }
  static F first_lanes(int count, F x, F other) {
    return each([&](int i) { return i < count ? x.lane[i] : other.lane[i]; });
  }

  static float sum(F x) {
    for (int width = 8; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) x.lane[i] += x.lane[i + width];
    }
    return x.lane[0];
  }
  static float largest(F x) {
    float best = x.lane[0];
    for (float value : x.lane) best = value > best ? value : best;
    return best;
  }

  static I bits(F x) { return std::bit_cast<I>(x); }
  static F from_bits(I x) { return std::bit_cast<F>(x); }
  static I set_int(std::int32_t x) {
    return each_int([&](int) { return x; });
  }
  // Through unsigned: the exponent arithmetic of a NaN may wrap.
  static I add_int(I a, I b) {
    return each_int([&](int i) { return wrap(as_unsigned(a.lane[i]) + as_unsigned(b.lane[i])); });
  }
  static I sub_int(I a, I b) {
    return each_int([&](int i) { return wrap(as_unsigned(a.lane[i]) - as_unsigned(b.lane[i])); });
  }
  static I half_int(I x) {
    return each_int([&](int i) { return x.lane[i] >> 1; });
  }
  static I to_exponent(I x) {
    return each_int([&](int i) { return wrap(as_unsigned(x.lane[i]) << 23); });
  }

  static F load_f16(const std::byte* p) {
    return each([&](int i) { return f16_to_f32(load_u16(p, i)); });
  }
  static F load_bf16(const std::byte* p) {
    return each([&](int i) { return bf16_to_f32(load_u16(p, i)); });
  }
  static F load_i8(const std::byte* p) {
    return each([&](int i) { return static_cast<float>(static_cast<std::int8_t>(p[i])); });
  }
  static F load_low_nibbles(const std::byte* p) {
    return each([&](int i) { return static_cast<float>((static_cast<int>(p[i]) & 0xF) - 8); });
  }
  static F load_high_nibbles(const std::byte* p) {
    return each([&](int i) { return static_cast<float>((static_cast<int>(p[i]) >> 4) - 8); });
  }

  static void load_taps(const float* p, F taps[4]) {
    for (int j = 0; j < 4; ++j) {
      taps[j] = each([&](int i) { return p[4 * i + j]; });
    }
  }

 private:
  template <class Lane>
  static F each(Lane lane) {
    F result;
    for (int i = 0; i < 16; ++i) result.lane[i] = lane(i);
    return result;
  }
  template <class Lane>
  static I each_int(Lane lane) {
    I result;
    for (int i = 0; i < 16; ++i) result.lane[i] = lane(i);
    return result;
  }
  static std::uint32_t as_unsigned(std::int32_t x) { return static_cast<std::uint32_t>(x); }
  static std::int32_t wrap(std::uint32_t x) { return static_cast<std::int32_t>(x); }
  static std::uint16_t load_u16(const std::byte* p, int i) {
    std::uint16_t value;
    std::memcpy(&value, p + 2 * i, sizeof(value));
    return value;
  }
};

}  // namespace
}  // namespace foretoken::kernels
