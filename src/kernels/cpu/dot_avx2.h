// The vocabulary of the quantized matrix products, AVX2: eight weight rows in one register, so a
// row group is two slices. dot_scalar.h states what each name means; dot_avx512.h says how the
// 16-bit sums are kept from saturating.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/simd_avx2.h"

namespace foretoken::kernels {
namespace {

struct DotAvx2 {
  using Simd = Avx2;
  static constexpr int kRows = 8;
  static constexpr int kStripColumns = 6;
  static constexpr int kPanelRowGroups = 1;
  static constexpr bool kSaturates = true;
  static constexpr bool kIsLatencyBound = false;
  using Bytes = __m256i;
  using Ints = __m256i;
  using Floats = __m256;
  struct Sum {
    __m256i wide;
    __m256i narrow;
  };

  static Bytes load_bytes(const std::uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store_bytes(std::uint8_t* p, Bytes x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
  }
  template <int kFrom, int kWidth, int kTo>
  static Bytes take_bits(Bytes x) {
    if constexpr (kFrom > kTo) x = _mm256_srli_epi16(x, kFrom - kTo);
    if constexpr (kFrom < kTo) x = _mm256_slli_epi16(x, kTo - kFrom);
    return _mm256_and_si256(x, _mm256_set1_epi8(static_cast<char>(((1 << kWidth) - 1) << kTo)));
  }
  static Bytes join(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }
  static Bytes look_up(const std::uint8_t* table, Bytes index) {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), index);
  }

  static Ints zero_ints() { return _mm256_setzero_si256(); }
  static Ints broadcast_int(const std::int32_t* p) { return _mm256_set1_epi32(*p); }
  static Ints load_u8(const std::uint8_t* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static Ints load_i8(const std::int8_t* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static Ints load_pairs(const std::uint8_t* p) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Ints high_nibbles(Ints pairs) { return _mm256_srli_epi16(pairs, 4); }
  static Ints low_nibble_of_pair(const std::uint8_t* p, int which) {
    const Ints pairs = load_pairs(p);
    const Ints wanted = which == 0 ? pairs : _mm256_srli_epi32(pairs, 16);
    return _mm256_and_si256(wanted, _mm256_set1_epi32(15));
  }
  static Ints load_ints(const std::int32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store_ints(std::int32_t* p, Ints x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
  }
  static Ints multiply_add(Ints a, Ints b, Ints c) {
    return _mm256_add_epi32(_mm256_mullo_epi32(a, b), c);
  }
  static Ints add_pair_products(Ints sum, Ints pairs, Ints pair) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, pair));
  }

  template <int kMaxCode>
  static Sum start_sum(Ints start) {
    return {kMaxCode == 255 ? zero_ints() : start, zero_ints()};
  }
  template <int kMaxCode, int kStep>
  static void add_products(Sum& sum, Bytes codes, const std::int8_t* activations) {
    const Bytes a = broadcast(activations);
    if constexpr (kMaxCode == 255) {
      const Bytes weights = _mm256_xor_si256(codes, _mm256_set1_epi8(static_cast<char>(0x80)));
      sum.narrow = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(a, weights));
      sum.wide = widen_add(sum);
    } else {
      constexpr int kPeriod = 32767 / (2 * 127 * kMaxCode);
      static_assert(kPeriod >= 1);
      const Ints products = _mm256_maddubs_epi16(codes, a);
      if constexpr (kStep % kPeriod == 0) {
        if constexpr (kStep != 0) sum.wide = widen_add(sum);
        sum.narrow = products;
      } else {
        sum.narrow = _mm256_add_epi16(sum.narrow, products);
      }
    }
  }
  template <int kMaxCode, int kSteps>
  static Ints finish_sum(Sum sum) {
    return kMaxCode == 255 ? sum.wide : widen_add(sum);
  }

  static Floats zero_floats() { return _mm256_setzero_ps(); }
  static Floats load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Floats x) { _mm256_storeu_ps(p, x); }
  static Floats load_f16(const std::uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Floats load_bf16(const std::uint16_t* p) {
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
  }
  static Floats broadcast_float(const float* p) { return _mm256_broadcast_ss(p); }
  static Floats to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
  static Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static Floats subtract_product(Floats c, Floats a, Floats b) { return _mm256_fnmadd_ps(a, b, c); }

  static void store_i8(std::int8_t* p, Avx2::F x) {
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(x.low), _mm256_cvtps_epi32(x.high));
    const __m256i in_order = _mm256_permute4x64_epi64(words, 0xD8);  // packs works per 128 bits
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(in_order), _mm256_extracti128_si256(in_order, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }

 private:
  static Bytes broadcast(const std::int8_t* p) {
    std::int32_t four;
    std::memcpy(&four, p, sizeof(four));
    return _mm256_set1_epi32(four);
  }
  static Ints widen_add(Sum sum) {
    return _mm256_add_epi32(sum.wide, _mm256_madd_epi16(sum.narrow, _mm256_set1_epi16(1)));
  }
};

}  // namespace
}  // namespace foretoken::kernels
