// Eight numbers at a time, AVX2. lanes_scalar.h says what each word means and why everything sits
// in an anonymous namespace.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace foretoken::quant {
namespace {

struct LanesAvx2 {
  using F = __m256;
  using I = __m256i;
  using M = __m256;  // all bits of a lane, or none
  static constexpr int kLanes = 8;

  static F set(float x) { return _mm256_set1_ps(x); }
  static I set_int(std::int32_t x) { return _mm256_set1_epi32(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static void store_ints(std::int32_t* p, I x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
  }
  static void load_columns(const float* const* rows, std::size_t offset, F* out) {
    // Rows j and j + 4 share a register from the start, so that the rest stays within halves.
    F a[8];
    for (int j = 0; j < 4; ++j) {
      const float* low = rows[j] + offset;
      const float* high = rows[j + 4] + offset;
      a[j] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
      a[j + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low + 4)),
                                      _mm_loadu_ps(high + 4), 1);
    }
    for (int half = 0; half < 8; half += 4) {
      const F low01 = _mm256_unpacklo_ps(a[half], a[half + 1]);
      const F high01 = _mm256_unpackhi_ps(a[half], a[half + 1]);
      const F low23 = _mm256_unpacklo_ps(a[half + 2], a[half + 3]);
      const F high23 = _mm256_unpackhi_ps(a[half + 2], a[half + 3]);
      out[half] = _mm256_shuffle_ps(low01, low23, 0x44);
      out[half + 1] = _mm256_shuffle_ps(low01, low23, 0xEE);
      out[half + 2] = _mm256_shuffle_ps(high01, high23, 0x44);
      out[half + 3] = _mm256_shuffle_ps(high01, high23, 0xEE);
    }
  }

  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F sqrt(F x) { return _mm256_sqrt_ps(x); }
  static F abs(F x) { return _mm256_andnot_ps(set(-0.0F), x); }
  static F negate(F x) { return _mm256_xor_ps(set(-0.0F), x); }
  static F copy_sign(F magnitude, F sign) {
    return _mm256_or_ps(abs(magnitude), _mm256_and_ps(set(-0.0F), sign));
  }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static float largest(F x) {
    const __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
  }

  static M less(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static M not_less(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_NLT_UQ); }
  static M at_least(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
  static M equal(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
  static M unequal(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
  static M unequal_ints(I a, I b) {
    return from_bits(_mm256_xor_si256(_mm256_cmpeq_epi32(a, b), set_int(-1)));
  }
  static M both(M a, M b) { return _mm256_and_ps(a, b); }
  static M either(M a, M b) { return _mm256_or_ps(a, b); }
  static bool any(M m) { return _mm256_movemask_ps(m) != 0; }
  static bool all(M m) { return _mm256_movemask_ps(m) == 0xFF; }
  static F select(M m, F a, F b) { return _mm256_blendv_ps(b, a, m); }
  static I select_ints(M m, I a, I b) { return bits(select(m, from_bits(a), from_bits(b))); }

  static I bits(F x) { return _mm256_castps_si256(x); }
  static F from_bits(I x) { return _mm256_castsi256_ps(x); }
  static F to_float(I x) { return _mm256_cvtepi32_ps(x); }
  static I truncate(F x) { return _mm256_cvttps_epi32(x); }
  static I add_ints(I a, I b) { return _mm256_add_epi32(a, b); }
  static I sub_ints(I a, I b) { return _mm256_sub_epi32(a, b); }
  static I and_ints(I a, I b) { return _mm256_and_si256(a, b); }
  static I or_ints(I a, I b) { return _mm256_or_si256(a, b); }
  static I min_ints(I a, I b) { return _mm256_min_epi32(a, b); }
  static I max_ints(I a, I b) { return _mm256_max_epi32(a, b); }
  template <int kBits>
  static I shift_left(I x) {
    return _mm256_slli_epi32(x, kBits);
  }
  template <int kBits>
  static I shift_right(I x) {
    return _mm256_srli_epi32(x, kBits);
  }
  static I low_i8(I x) { return _mm256_srai_epi32(_mm256_slli_epi32(x, 24), 24); }
  static F lookup16(const float* table, I x) {
    // permutevar8x32 looks at the low three bits of x only; bit 3, moved to the sign, selects.
    const F low = _mm256_permutevar8x32_ps(load(table), x);
    const F high = _mm256_permutevar8x32_ps(load(table + 8), x);
    return select(from_bits(shift_left<28>(x)), high, low);
  }

  static I to_f16(F x) {
    return _mm256_cvtepu16_epi32(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  static F from_f16(I x) { return _mm256_cvtph_ps(narrow_u16(x)); }
  static void store_u16(std::byte* p, I x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow_u16(x));
  }
  static void store_u8(std::byte* p, I x) {
    const __m256i order =
        _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12,
                         -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m256i packed = _mm256_shuffle_epi8(x, order);
    const __m128i bytes =
        _mm_unpacklo_epi32(_mm256_castsi256_si128(packed), _mm256_extracti128_si256(packed, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), bytes);
  }

 private:
  static __m128i narrow_u16(I x) {
    const __m256i low = and_ints(x, set_int(0xFFFF));
    return _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  }
};

}  // namespace
}  // namespace foretoken::quant
