// What happens to activations before and after the products: norm, quantization to 8 bits, SwiGLU.
// Each works on one token alone, in one order, so results do not depend on the batch.
// The rule of quantization is stated in docs/kernels.md, "Activations".
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/matmul_strips.h"
#include "kernels/cpu/vector_math.h"

namespace foretoken::kernels {
namespace {

/// Sum of squares over 64 interleaved partial sums: column k goes to sum k mod 64.
template <class V>
float sum_of_squares(const float* x, int width) {
  using S = typename V::Simd;
  typename S::F sums[4] = {S::zero(), S::zero(), S::zero(), S::zero()};
  int k = 0;
  for (; k + 64 <= width; k += 64) {
    for (int i = 0; i < 4; ++i) {
      const typename S::F v = S::load(x + k + 16 * i);
      sums[i] = S::fma(v, v, sums[i]);
    }
  }
  for (int i = 0; k < width; ++i, k += 16) {
    float rest[16] = {};
    for (int j = 0; j < 16 && k + j < width; ++j) rest[j] = x[k + j];
    const typename S::F v = S::load(rest);
    sums[i] = S::fma(v, v, sums[i]);
  }
  return S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])));
}

template <class V>
void rms_norm_row(const float* x, const float* norm, float eps, int width, float* y) {
  using S = typename V::Simd;
  const double mean = static_cast<double>(sum_of_squares<V>(x, width)) / width;
  const auto scale = static_cast<float>(1.0 / __builtin_sqrt(mean + static_cast<double>(eps)));
  const typename S::F scales = S::set(scale);
  int k = 0;
  for (; k + 16 <= width; k += 16) {
    S::store(y + k, S::mul(S::mul(S::load(x + k), scales), S::load(norm + k)));
  }
  for (; k < width; ++k) y[k] = x[k] * scale * norm[k];
}

/// Blocks whose largest magnitude is below this count as zeros, so that 127 / max stays finite.
inline constexpr float kSmallestMax = 0x1p-100F;

/// Quantizes kCount values (a multiple of 16) with one scale: d = max|x| / 127, codes
/// round-to-nearest-even(x * (127 / max|x|)). Codes go to column c (q points at it) of a strip of
/// w.
template <class V, int kCount>
void quantize_block(const float* x, int w, std::int8_t* q, float* d, std::int8_t* codes) {
  using S = typename V::Simd;
  typename S::F largest = S::zero();
  for (int k = 0; k < kCount; k += 16) largest = S::max(S::abs(S::load(x + k)), largest);
  const float max = S::largest(largest);
  const bool is_zero = max < kSmallestMax;
  *d = is_zero ? 0.0F : max / 127.0F;
  const typename S::F factor = S::set(is_zero ? 0.0F : 127.0F / max);
  // The product may round to just above 127.
  const typename S::F limit = S::set(127.0F);
  const typename S::F minus_limit = S::set(-127.0F);
  for (int k = 0; k < kCount; k += 16) {
    const typename S::F v = S::mul(S::load(x + k), factor);
    V::store_i8(codes + k, S::max(S::min(v, limit), minus_limit));
  }
  for (int k = 0; k < kCount; k += 4) std::memcpy(q + k * w, codes + k, 4);
}

inline std::int32_t sum_codes(const std::int8_t* codes, int count) {
  std::int32_t sum = 0;
  for (int k = 0; k < count; ++k) sum += codes[k];
  return sum;
}

/// Column of a strip: blocks of kBlock, sums over groups of kGroup, width padded to kPadding.
template <class V, int kBlock, int kGroup, int kPadding>
void quantize_row(const float* x, int width, int w, std::int8_t* q, float* d, std::int32_t* sums) {
  const int padded = (width + kPadding - 1) / kPadding * kPadding;
  alignas(64) std::int8_t codes[kBlock];
  for (int k = 0; k < padded; k += kBlock) {
    if (k + kBlock <= width) {
      quantize_block<V, kBlock>(x + k, w, q, d, codes);
    } else {
      float rest[kBlock] = {};
      for (int j = 0; k + j < width; ++j) rest[j] = x[k + j];
      quantize_block<V, kBlock>(rest, w, q, d, codes);
    }
    for (int g = 0; g < kBlock; g += kGroup, sums += w) *sums = sum_codes(codes + g, kGroup);
    q += kBlock * w;
    d += w;
  }
}

template <class V>
void quantize_super_row(const float* x, int width, int w, std::int8_t* q, float* d,
                        std::int32_t* sums) {
  quantize_row<V, 256, 16, 256>(x, width, w, q, d, sums);
}

template <class V>
void quantize_small_row(const float* x, int width, int w, std::int8_t* q, float* d,
                        std::int32_t* sums) {
  quantize_row<V, 32, 32, 64>(x, width, w, q, d, sums);
}

template <class V>
void swiglu_row(const float* gate, const float* up, int n, float* out) {
  using S = typename V::Simd;
  int i = 0;
  for (; i + 16 <= n; i += 16) {
    S::store(out + i, S::mul(silu_of<S>(S::load(gate + i)), S::load(up + i)));
  }
  if (i == n) return;
  float g[16] = {};
  float u[16] = {};
  for (int j = 0; i + j < n; ++j) {
    g[j] = gate[i + j];
    u[j] = up[i + j];
  }
  S::store(g, S::mul(silu_of<S>(S::load(g)), S::load(u)));
  for (int j = 0; i + j < n; ++j) out[i + j] = g[j];
}

}  // namespace
}  // namespace foretoken::kernels
