// F16, BF16 and Q8_0: one pass, bound by memory, so the lanes are neighbours in a row and nothing
// is turned round.
// Source: docs/quant-formats.md, "Float conversions" and "Making blocks".
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "quant/blocks.h"
#include "quant/encode/encode_table.h"

namespace foretoken::quant {
namespace {

template <class V>
typename V::I bf16_of(typename V::F x) {
  const typename V::I bits = V::bits(x);
  const typename V::I kept = V::and_ints(V::template shift_right<16>(bits), V::set_int(1));
  return V::template shift_right<16>(V::add_ints(bits, V::add_ints(kept, V::set_int(0x7FFF))));
}

/// Converts every number to 16 bits by `convert`.
template <class V, class Convert>
void encode_16_bit(const EncodeJob& job, const Convert& convert) {
  const std::size_t n = job.n_rows * job.n_cols;
  std::size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    V::store_u16(job.out + 2 * i, convert(V::load(job.x + i)));
  }
  if (i == n) return;
  float rest[V::kLanes] = {};
  std::byte narrow[2 * V::kLanes];
  std::memcpy(rest, job.x + i, (n - i) * sizeof(float));
  V::store_u16(narrow, convert(V::load(rest)));
  std::memcpy(job.out + 2 * i, narrow, 2 * (n - i));
}

template <class V>
void encode_f16(const EncodeJob& job) {
  encode_16_bit<V>(job, [](typename V::F x) { return V::to_f16(x); });
}

template <class V>
void encode_bf16(const EncodeJob& job) {
  encode_16_bit<V>(job, [](typename V::F x) { return bf16_of<V>(x); });
}

/// Rounds half away from zero. Adding the number just below a half, and not a half, keeps the
/// largest number below a half from becoming one; whatever does not fit becomes INT_MIN.
template <class V>
typename V::I round_away(typename V::F x) {
  return V::truncate(V::add(x, V::copy_sign(V::set(0x1.fffffep-2F), x)));
}

/// d = max |x| / 127, q = round(x / d) with the unrounded d.
template <class V>
void encode_q8_0(const EncodeJob& job) {
  using F = typename V::F;
  constexpr int kVectors = 32 / V::kLanes;
  const std::size_t n_blocks = job.n_rows * job.n_cols / 32;
  for (std::size_t block = 0; block < n_blocks; ++block) {
    const float* x = job.x + 32 * block;
    std::byte* out = job.out + sizeof(BlockQ8_0) * block;
    F values[kVectors];
    F magnitude = V::set(0.0F);
    for (int v = 0; v < kVectors; ++v) {
      values[v] = V::load(x + v * V::kLanes);
      magnitude = V::max(V::abs(values[v]), magnitude);
    }
    const float d = V::largest(magnitude) / 127.0F;
    const float inverse = d != 0.0F ? 1.0F / d : 0.0F;
    std::int32_t half[V::kLanes];
    V::store_ints(half, V::to_f16(V::set(d)));
    std::memcpy(out + offsetof(BlockQ8_0, d), half, sizeof(std::uint16_t));
    for (int v = 0; v < kVectors; ++v) {
      V::store_u8(out + offsetof(BlockQ8_0, q) + v * V::kLanes,
                  round_away<V>(V::mul(values[v], V::set(inverse))));
    }
  }
}

}  // namespace
}  // namespace foretoken::quant
