// Sixteen floats at once as two AVX2 registers: the vocabulary of simd_avx512.h, where the meaning
// of each name is stated. Needs FMA and F16C beside AVX2.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace foretoken::kernels {
namespace {

struct Avx2 {
  struct F {
    __m256 low;
    __m256 high;
  };
  struct I {
    __m256i low;
    __m256i high;
  };
  static constexpr int kStrips = 1;  // sixteen registers hold the sums of one strip
  static constexpr int kQueryRows = 2;

  static F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static F set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static void store(float* p, F x) {
    _mm256_storeu_ps(p, x.low);
    _mm256_storeu_ps(p + 8, x.high);
  }

  static F add(F a, F b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
  static F sub(F a, F b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
  static F mul(F a, F b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
  static F div(F a, F b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
  static F fma(F a, F b, F c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static F max(F a, F b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
  static F min(F a, F b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
  static F abs(F x) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_andnot_ps(sign, x.low), _mm256_andnot_ps(sign, x.high)};
  }
  static F first_lanes(int count, F x, F other) {
    const __m256i n = _mm256_set1_epi32(count);
    const __m256i low = _mm256_cmpgt_epi32(n, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    const __m256i high = _mm256_cmpgt_epi32(n, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15));
    return {_mm256_blendv_ps(other.low, x.low, _mm256_castsi256_ps(low)),
            _mm256_blendv_ps(other.high, x.high, _mm256_castsi256_ps(high))};
  }

  static float sum(F x) {
    const __m256 by8 = _mm256_add_ps(x.low, x.high);
    const __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
  }
  static float largest(F x) {
    const __m256 by8 = _mm256_max_ps(x.low, x.high);
    const __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
  }

  static I bits(F x) { return {_mm256_castps_si256(x.low), _mm256_castps_si256(x.high)}; }
  static F from_bits(I x) { return {_mm256_castsi256_ps(x.low), _mm256_castsi256_ps(x.high)}; }
  static I set_int(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
  static I add_int(I a, I b) {
    return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
  }
  static I sub_int(I a, I b) {
    return {_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
  }
  static I half_int(I x) { return {_mm256_srai_epi32(x.low, 1), _mm256_srai_epi32(x.high, 1)}; }
  static I to_exponent(I x) {
    return {_mm256_slli_epi32(x.low, 23), _mm256_slli_epi32(x.high, 23)};
  }

  static F load_f16(const std::byte* p) {
    return {_mm256_cvtph_ps(load_half(p)), _mm256_cvtph_ps(load_half(p + 16))};
  }
  static F load_bf16(const std::byte* p) { return {widen_bf16(p), widen_bf16(p + 16)}; }
  static F load_i8(const std::byte* p) {
    const __m128i raw = load_half(p);
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(raw)),
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(raw, 8)))};
  }
  static F load_low_nibbles(const std::byte* p) { return nibbles(load_half(p)); }
  static F load_high_nibbles(const std::byte* p) {
    return nibbles(_mm_srli_epi16(load_half(p), 4));
  }

  static void load_taps(const float* p, F taps[4]) {
    __m128 quarter[4][4];
    for (int i = 0; i < 4; ++i) {
      __m128* r = quarter[i];
      for (int j = 0; j < 4; ++j) r[j] = _mm_loadu_ps(p + 16 * i + 4 * j);
      _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
    }
    for (int j = 0; j < 4; ++j) {
      taps[j] = {_mm256_set_m128(quarter[1][j], quarter[0][j]),
                 _mm256_set_m128(quarter[3][j], quarter[2][j])};
    }
  }

 private:
  static __m128i load_half(const std::byte* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  static __m256 widen_bf16(const std::byte* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_half(p)), 16));
  }
  static F nibbles(__m128i raw) {
    const __m128i low = _mm_and_si128(raw, _mm_set1_epi8(0x0F));
    const __m256i eight = _mm256_set1_epi32(8);
    return {
        _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(low), eight)),
        _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(low, 8)), eight))};
  }
};

}  // namespace
}  // namespace foretoken::kernels
