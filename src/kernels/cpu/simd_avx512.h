// Sixteen floats at once, AVX-512: the thin vocabulary in which the mixers are written. The other
// levels offer the same names; 16 lanes suit every width there is (state strips, cache tiles and
// heads are multiples of 16), so no loop has a tail and no value's bits depend on its lane.
// Everything sits in an anonymous namespace: each file compiled for an instruction set gets its own
// copy, and templates over the type get internal linkage with it.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace foretoken::kernels {
namespace {

struct Avx512 {
  using F = __m512;
  using I = __m512i;
  static constexpr int kStrips = 2;     // state strips worked on together
  static constexpr int kQueryRows = 8;  // query rows that share a loaded key or value

  static F zero() { return _mm512_setzero_ps(); }
  static F set(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }

  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  /// a * b + c, rounded once where the hardware can.
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  /// The larger (smaller) one; b where either is NaN.
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F abs(F x) { return _mm512_abs_ps(x); }
  /// x in lanes below `count`, other elsewhere.
  static F first_lanes(int count, F x, F other) {
    const auto mask =
        static_cast<__mmask16>(count >= 16 ? 0xFFFF : (1 << (count > 0 ? count : 0)) - 1);
    return _mm512_mask_blend_ps(mask, other, x);
  }

  /// Sum of the lanes in the fixed order of a binary tree: i with i + 8, then + 4, + 2, + 1.
  static float sum(F x) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
    const __m256 by8 = _mm256_add_ps(_mm512_castps512_ps256(x), high);
    const __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
  }
  /// Largest lane.
  static float largest(F x) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
    const __m256 by8 = _mm256_max_ps(_mm512_castps512_ps256(x), high);
    const __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
  }

  static I bits(F x) { return _mm512_castps_si512(x); }
  static F from_bits(I x) { return _mm512_castsi512_ps(x); }
  static I set_int(std::int32_t x) { return _mm512_set1_epi32(x); }
  static I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
  static I sub_int(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I half_int(I x) { return _mm512_srai_epi32(x, 1); }  // arithmetic
  static I to_exponent(I x) { return _mm512_slli_epi32(x, 23); }

  /// Sixteen stored numbers as floats; exact.
  static F load_f16(const std::byte* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F load_bf16(const std::byte* p) {
    const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16));
  }
  static F load_i8(const std::byte* p) {
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(raw));
  }
  /// Low (high) nibbles of 16 bytes, minus 8.
  static F load_low_nibbles(const std::byte* p) {
    return nibbles(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static F load_high_nibbles(const std::byte* p) {
    return nibbles(_mm_srli_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), 4));
  }

  /// Sixteen rows of four floats, transposed: taps[j] lane i = p[4 i + j].
  static void load_taps(const float* p, F taps[4]) {
    // Pairs of registers hold eight rows each; pick taps 0 and 1 (or 2 and 3) of all eight, then
    // join the halves.
    const I pick01 = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
    const I pick23 = _mm512_setr_epi32(2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31);
    const F a = load(p);
    const F b = load(p + 16);
    const F c = load(p + 32);
    const F d = load(p + 48);
    const F low01 = _mm512_permutex2var_ps(a, pick01, b);
    const F low23 = _mm512_permutex2var_ps(a, pick23, b);
    const F high01 = _mm512_permutex2var_ps(c, pick01, d);
    const F high23 = _mm512_permutex2var_ps(c, pick23, d);
    taps[0] = _mm512_shuffle_f32x4(low01, high01, 0x44);
    taps[1] = _mm512_shuffle_f32x4(low01, high01, 0xEE);
    taps[2] = _mm512_shuffle_f32x4(low23, high23, 0x44);
    taps[3] = _mm512_shuffle_f32x4(low23, high23, 0xEE);
  }

 private:
  static F nibbles(__m128i raw) {
    const __m128i low = _mm_and_si128(raw, _mm_set1_epi8(0x0F));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(low), _mm512_set1_epi32(8)));
  }
};

}  // namespace
}  // namespace foretoken::kernels
