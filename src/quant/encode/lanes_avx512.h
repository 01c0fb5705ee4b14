// Sixteen numbers at a time, AVX-512. lanes_scalar.h says what each word means and why everything
// sits in an anonymous namespace.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace foretoken::quant {
namespace {

struct LanesAvx512 {
  using F = __m512;
  using I = __m512i;
  using M = __mmask16;
  static constexpr int kLanes = 16;

  static F set(float x) { return _mm512_set1_ps(x); }
  static I set_int(std::int32_t x) { return _mm512_set1_epi32(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static void store_ints(std::int32_t* p, I x) { _mm512_storeu_si512(p, x); }
  static void load_columns(const float* const* rows, std::size_t offset, F* out) {
    // Rows j, j + 4, j + 8, j + 12 share a register from the start, four columns of each, so that
    // the rest stays within the quarters.
    for (int column = 0; column < 16; column += 4) {
      F a[4];
      for (int j = 0; j < 4; ++j) {
        const auto quarter = [&](int row) {
          return _mm_loadu_ps(rows[row] + offset + static_cast<std::size_t>(column));
        };
        a[j] = _mm512_castps128_ps512(quarter(j));
        a[j] = _mm512_insertf32x4(a[j], quarter(j + 4), 1);
        a[j] = _mm512_insertf32x4(a[j], quarter(j + 8), 2);
        a[j] = _mm512_insertf32x4(a[j], quarter(j + 12), 3);
      }
      const F low01 = _mm512_unpacklo_ps(a[0], a[1]);
      const F high01 = _mm512_unpackhi_ps(a[0], a[1]);
      const F low23 = _mm512_unpacklo_ps(a[2], a[3]);
      const F high23 = _mm512_unpackhi_ps(a[2], a[3]);
      out[column] = _mm512_shuffle_ps(low01, low23, 0x44);
      out[column + 1] = _mm512_shuffle_ps(low01, low23, 0xEE);
      out[column + 2] = _mm512_shuffle_ps(high01, high23, 0x44);
      out[column + 3] = _mm512_shuffle_ps(high01, high23, 0xEE);
    }
  }

  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F sqrt(F x) { return _mm512_sqrt_ps(x); }
  static F abs(F x) { return _mm512_abs_ps(x); }
  static F negate(F x) { return _mm512_xor_ps(set(-0.0F), x); }
  static F copy_sign(F magnitude, F sign) {
    return _mm512_or_ps(abs(magnitude), _mm512_and_ps(set(-0.0F), sign));
  }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static float largest(F x) {
    const __m256 by8 = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
  }

  static M less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static M not_less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ); }
  static M at_least(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
  static M equal(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  static M unequal(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
  static M unequal_ints(I a, I b) { return _mm512_cmpneq_epi32_mask(a, b); }
  static M both(M a, M b) { return static_cast<M>(a & b); }
  static M either(M a, M b) { return static_cast<M>(a | b); }
  static bool any(M m) { return m != 0; }
  static bool all(M m) { return m == 0xFFFF; }
  static F select(M m, F a, F b) { return _mm512_mask_blend_ps(m, b, a); }
  static I select_ints(M m, I a, I b) { return _mm512_mask_blend_epi32(m, b, a); }

  static I bits(F x) { return _mm512_castps_si512(x); }
  static F from_bits(I x) { return _mm512_castsi512_ps(x); }
  static F to_float(I x) { return _mm512_cvtepi32_ps(x); }
  static I truncate(F x) { return _mm512_cvttps_epi32(x); }
  static I add_ints(I a, I b) { return _mm512_add_epi32(a, b); }
  static I sub_ints(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I and_ints(I a, I b) { return _mm512_and_si512(a, b); }
  static I or_ints(I a, I b) { return _mm512_or_si512(a, b); }
  static I min_ints(I a, I b) { return _mm512_min_epi32(a, b); }
  static I max_ints(I a, I b) { return _mm512_max_epi32(a, b); }
  template <int kBits>
  static I shift_left(I x) {
    return _mm512_slli_epi32(x, kBits);
  }
  template <int kBits>
  static I shift_right(I x) {
    return _mm512_srli_epi32(x, kBits);
  }
  static I low_i8(I x) { return _mm512_srai_epi32(_mm512_slli_epi32(x, 24), 24); }
  static F lookup16(const float* table, I x) { return _mm512_permutexvar_ps(x, load(table)); }

  static I to_f16(F x) {
    return _mm512_cvtepu16_epi32(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  static F from_f16(I x) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x)); }
  static void store_u16(std::byte* p, I x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(x));
  }
  static void store_u8(std::byte* p, I x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x));
  }
};

}  // namespace
}  // namespace foretoken::quant
