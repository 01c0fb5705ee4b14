// Scans the scales of a tensor's blocks. Only exponents are looked at: an f16, bf16, f32 or f64 is
// infinite or NaN exactly when its exponent bits are all ones.
#include "quant/validate.h"

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "base/bytes.h"
#include "quant/blocks.h"

namespace foretoken::quant {
namespace {

// Where a type keeps the binary16 numbers of a block; -1 for none.
struct HalfOffsets {
  int first = -1;
  int second = -1;
};

HalfOffsets half_offsets(Type type) {
  switch (type) {
    case Type::F16:
    case Type::Q4_0:
    case Type::Q5_0:
    case Type::Q8_0:
    case Type::IQ4_NL:
    case Type::IQ4_XS:
    case Type::Q1_0:
    case Type::Q2_0:
    case Type::IQ2_XXS:
    case Type::IQ2_XS:
    case Type::IQ2_S:
    case Type::IQ3_XXS:
    case Type::IQ3_S:
    case Type::IQ1_S:
      return {0, -1};
    case Type::Q4_1:
    case Type::Q5_1:
    case Type::Q8_1:
    case Type::Q4_K:
    case Type::Q5_K:
      return {0, 2};
    case Type::Q2_K:
      return {offsetof(BlockQ2_K, d), offsetof(BlockQ2_K, dmin)};
    case Type::Q3_K:
      return {offsetof(BlockQ3_K, d), -1};
    case Type::Q6_K:
      return {offsetof(BlockQ6_K, d), -1};
    case Type::TQ1_0:
      return {52, -1};  // 48 + 4 bytes of codes come first
    case Type::TQ2_0:
      return {64, -1};
    case Type::F32:
    case Type::F64:
    case Type::BF16:
    case Type::Q8_K:
    case Type::MXFP4:
    case Type::NVFP4:
    case Type::IQ1_M:
    case Type::I8:
    case Type::I16:
    case Type::I32:
    case Type::I64:
      return {};
  }
  return {};
}

// First i < n for which bad(i). Counts in runs, for a loop without a way out is what a compiler
// turns into vector instructions.
template <class Bad>
std::optional<std::size_t> find_first(std::size_t n, Bad&& bad) {
  constexpr std::size_t kRun = 4096;
  for (std::size_t begin = 0; begin < n; begin += kRun) {
    const std::size_t end = std::min(begin + kRun, n);
    std::uint16_t n_bad = 0;  // as narrow as the narrowest numbers looked at
    for (std::size_t i = begin; i < end; ++i) n_bad = static_cast<std::uint16_t>(n_bad + bad(i));
    if (n_bad == 0) continue;
    for (std::size_t i = begin; i < end; ++i) {
      if (bad(i)) return i;
    }
  }
  return std::nullopt;
}

template <class Bits>
bool all_ones(const std::byte* at, Bits exponent_mask) {
  return (load_le<Bits>(at) & exponent_mask) == exponent_mask;
}

bool half_is_invalid(const std::byte* at) { return all_ones<std::uint16_t>(at, 0x7C00); }

// IQ1_M spreads the 16 bits of its scale over the top nibbles of four 16-bit words at 48.
bool iq1_m_is_invalid(const std::byte* block) {
  unsigned bits = 0;
  for (int i = 0; i < 4; ++i) {
    bits |= static_cast<unsigned>(load_le<std::uint16_t>(block + 48 + 2 * i) >> 12) << (4 * i);
  }
  return (bits & 0x7C00U) == 0x7C00U;
}

}  // namespace

std::optional<std::size_t> find_invalid_block(Type type, std::span<const std::byte> data) {
  const auto size = static_cast<std::size_t>(type_info(type).block_bytes);
  assert(data.size() % size == 0 && "a tensor is whole blocks");
  const std::size_t n = data.size() / size;
  const std::byte* p = data.data();
  const HalfOffsets halves = half_offsets(type);
  if (halves.second >= 0) {
    return find_first(n, [=](std::size_t i) {
      return half_is_invalid(p + i * size + halves.first) ||
             half_is_invalid(p + i * size + halves.second);
    });
  }
  if (halves.first >= 0) {
    return find_first(n,
                      [=](std::size_t i) { return half_is_invalid(p + i * size + halves.first); });
  }
  if (type == Type::F32 || type == Type::Q8_K) {
    return find_first(
        n, [=](std::size_t i) { return all_ones<std::uint32_t>(p + i * size, 0x7F800000); });
  }
  if (type == Type::BF16) {
    return find_first(n, [=](std::size_t i) { return all_ones<std::uint16_t>(p + 2 * i, 0x7F80); });
  }
  if (type == Type::F64) {
    return find_first(
        n, [=](std::size_t i) { return all_ones<std::uint64_t>(p + 8 * i, 0x7FF0000000000000); });
  }
  if (type == Type::MXFP4) {
    return find_first(n, [=](std::size_t i) { return p[i * size] == std::byte{255}; });
  }
  if (type == Type::IQ1_M) {
    return find_first(n, [=](std::size_t i) { return iq1_m_is_invalid(p + i * size); });
  }
  return std::nullopt;
}

}  // namespace foretoken::quant
