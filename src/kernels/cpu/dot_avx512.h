// The vocabulary of the quantized matrix products, AVX-512 without VNNI: sixteen weight rows in one
// register. dot_scalar.h states what each name means.
//
// Products of bytes are summed in pairs in 16 bits (vpmaddubsw), which saturates; sums are
// therefore widened before 32767 can be reached, as the largest code tells.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/simd_avx512.h"

namespace foretoken::kernels {
namespace {

struct DotAvx512 {
  using Simd = Avx512;
  static constexpr int kRows = 16;
  static constexpr int kStripColumns = 6;
  static constexpr int kPanelRowGroups = 1;
  static constexpr bool kSaturates = true;
  static constexpr bool kIsLatencyBound = false;
  using Bytes = __m512i;
  using Ints = __m512i;
  using Floats = __m512;
  struct Sum {
    __m512i wide;
    __m512i narrow;
  };

  static Bytes load_bytes(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
  static void store_bytes(std::uint8_t* p, Bytes x) { _mm512_storeu_si512(p, x); }
  template <int kFrom, int kWidth, int kTo>
  static Bytes take_bits(Bytes x) {
    if constexpr (kFrom > kTo) x = _mm512_srli_epi16(x, kFrom - kTo);
    if constexpr (kFrom < kTo) x = _mm512_slli_epi16(x, kTo - kFrom);
    return _mm512_and_si512(x, _mm512_set1_epi8(static_cast<char>(((1 << kWidth) - 1) << kTo)));
  }
  static Bytes join(Bytes a, Bytes b) { return _mm512_or_si512(a, b); }
  static Bytes look_up(const std::uint8_t* table, Bytes index) {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), index);
  }

  static Ints zero_ints() { return _mm512_setzero_si512(); }
  static Ints broadcast_int(const std::int32_t* p) { return _mm512_set1_epi32(*p); }
  static Ints load_u8(const std::uint8_t* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Ints load_i8(const std::int8_t* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Ints load_pairs(const std::uint8_t* p) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Ints high_nibbles(Ints pairs) { return _mm512_srli_epi16(pairs, 4); }
  static Ints low_nibble_of_pair(const std::uint8_t* p, int which) {
    const Ints pairs = load_pairs(p);
    const Ints wanted = which == 0 ? pairs : _mm512_srli_epi32(pairs, 16);
    return _mm512_and_si512(wanted, _mm512_set1_epi32(15));
  }
  static Ints load_ints(const std::int32_t* p) { return _mm512_loadu_si512(p); }
  static void store_ints(std::int32_t* p, Ints x) { _mm512_storeu_si512(p, x); }
  static Ints multiply_add(Ints a, Ints b, Ints c) {
    return _mm512_add_epi32(_mm512_mullo_epi32(a, b), c);
  }
  static Ints add_pair_products(Ints sum, Ints pairs, Ints pair) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, pair));
  }

  template <int kMaxCode>
  static Sum start_sum(Ints start) {
    return {kMaxCode == 255 ? zero_ints() : start, zero_ints()};
  }
  template <int kMaxCode, int kStep>
  static void add_products(Sum& sum, Bytes codes, const std::int8_t* activations) {
    const Bytes a = broadcast(activations);
    if constexpr (kMaxCode == 255) {
      // |code - 128| times the activation with the code's sign: at most 2 * 128 * 127 a pair.
      const Bytes weights = _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80)));
      const __mmask64 negative = _mm512_movepi8_mask(weights);
      const Bytes signed_a = _mm512_mask_sub_epi8(a, negative, zero_ints(), a);
      sum.narrow = _mm512_maddubs_epi16(_mm512_abs_epi8(weights), signed_a);
      sum.wide = widen_add(sum);
    } else {
      constexpr int kPeriod = 32767 / (2 * 127 * kMaxCode);
      static_assert(kPeriod >= 1);
      const Ints products = _mm512_maddubs_epi16(codes, a);
      if constexpr (kStep % kPeriod == 0) {
        if constexpr (kStep != 0) sum.wide = widen_add(sum);
        sum.narrow = products;
      } else {
        sum.narrow = _mm512_add_epi16(sum.narrow, products);
      }
    }
  }
  template <int kMaxCode, int kSteps>
  static Ints finish_sum(Sum sum) {
    return kMaxCode == 255 ? sum.wide : widen_add(sum);
  }

  static Floats zero_floats() { return _mm512_setzero_ps(); }
  static Floats load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Floats x) { _mm512_storeu_ps(p, x); }
  static Floats load_f16(const std::uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Floats load_bf16(const std::uint16_t* p) {
    const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16));
  }
  static Floats broadcast_float(const float* p) { return _mm512_set1_ps(*p); }
  static Floats to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
  static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static Floats subtract_product(Floats c, Floats a, Floats b) { return _mm512_fnmadd_ps(a, b, c); }

  /// Sixteen values, already within -127 .. 127, rounded to nearest (ties to even).
  static void store_i8(std::int8_t* p, Avx512::F x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
  }

 protected:
  static Bytes broadcast(const std::int8_t* p) {
    std::int32_t four;
    std::memcpy(&four, p, sizeof(four));
    return _mm512_set1_epi32(four);
  }

 private:
  static Ints widen_add(Sum sum) {
    return _mm512_add_epi32(sum.wide, _mm512_madd_epi16(sum.narrow, _mm512_set1_epi16(1)));
  }
};

}  // namespace
}  // namespace foretoken::kernels
