#include "random_weights.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/half.h"

namespace foretoken::testing {
namespace {

constexpr std::size_t kQuantiles = 4096;
constexpr int kIndexBits = 12;
constexpr std::size_t kPerDraw = 64 / kIndexBits;

// SplitMix64 (Steele, Lea, Flood 2014): a counter, mixed.
struct RandomBits {
  std::uint64_t state;
  std::uint64_t next() {
    std::uint64_t z = (state += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
};

// FNV-1a, so that each tensor has numbers of its own.
std::uint64_t hash(std::string_view text) {
  std::uint64_t h = 0xCBF29CE484222325U;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return h;
}

// x with P(normal <= x) = p, by bisection.
double normal_quantile(double p) {
  double low = -10.0;
  double high = 10.0;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

const std::array<float, kQuantiles>& quantiles() {
  static const std::array<float, kQuantiles> table = [] {
    std::array<float, kQuantiles> out{};
    for (std::size_t i = 0; i < kQuantiles; ++i) {
      out[i] = static_cast<float>(
          normal_quantile((static_cast<double>(i) + 0.5) / static_cast<double>(kQuantiles)));
    }
    return out;
  }();
  return table;
}

// The i-th quantile of the tensor's distribution.
float value(Spread spread, std::size_t n_cols, std::size_t i) {
  const float normal = quantiles()[i];
  switch (spread) {
    case Spread::Matrix:
      return normal / std::sqrt(static_cast<float>(n_cols));
    case Spread::Vocabulary:
      return 4.0F * normal / std::sqrt(static_cast<float>(n_cols));
    case Spread::Offset:
      return 0.1F * normal;
    case Spread::Gain:
      return 1.0F + 0.1F * normal;
    case Spread::Kernel:
      return 0.5F * normal;
    case Spread::LogDecay:
      return std::log(1.0F +
                      15.0F * (static_cast<float>(i) + 0.5F) / static_cast<float>(kQuantiles));
    case Spread::TimeStep:
      return normal - 2.0F;
  }
  return 0.0F;  // not reached: all cases return
}

template <class Element>
void fill(const std::array<Element, kQuantiles>& table, RandomBits& random,
          std::span<std::byte> out) {
  const std::size_t n = out.size() / sizeof(Element);
  std::array<Element, kPerDraw> drawn;
  for (std::size_t i = 0; i < n; i += kPerDraw) {
    std::uint64_t bits = random.next();
    for (Element& x : drawn) {
      x = table[bits % kQuantiles];
      bits >>= kIndexBits;
    }
    std::memcpy(out.data() + i * sizeof(Element), drawn.data(),
                std::min(kPerDraw, n - i) * sizeof(Element));
  }
}

}  // namespace

void fill_weights(const CheckpointTensor& tensor, std::uint64_t seed, std::size_t first,
                  std::span<std::byte> out) {
  assert(first % kWeightsPerStream == 0);  // callers cut tensors there
  // Columns as the product sees them: all dimensions but the outermost.
  std::size_t n_cols = 1;
  for (std::size_t i = 1; i < tensor.shape.size(); ++i) n_cols *= tensor.shape[i];
  const bool is_f32 = tensor.type == safetensors::DType::F32;
  const std::size_t element = is_f32 ? sizeof(float) : sizeof(std::uint16_t);
  std::array<float, kQuantiles> exact;
  std::array<std::uint16_t, kQuantiles> rounded;
  for (std::size_t i = 0; i < kQuantiles; ++i) {
    exact[i] = value(tensor.spread, n_cols, i);
    rounded[i] = f32_to_bf16(exact[i]);
  }
  while (!out.empty()) {
    const std::size_t bytes = std::min(out.size(), kWeightsPerStream * element);
    RandomBits random{seed ^ hash(tensor.name) ^ (first << 20)};
    if (is_f32) {
      fill(exact, random, out.first(bytes));
    } else {
      fill(rounded, random, out.first(bytes));
    }
    out = out.subspan(bytes);
    first += kWeightsPerStream;
  }
}

}  // namespace foretoken::testing
