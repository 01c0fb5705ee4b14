// Block maxima are kept in 16 independent lanes: written so, the loop needs no reordering of
// floating point operations and compiles to packed maxima at the baseline instruction set. `x > m ?
// x : m` also drops NaN, since any comparison with it is false.
#include "sampling/select.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

namespace foretoken::sampling {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr std::size_t kBlock = 64;
constexpr std::size_t kLanes = 16;

float max_of(const float* x, std::size_t n) {
  std::array<float, kLanes> lane;
  lane.fill(kMinusInfinity);
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
  }
  for (std::size_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::size_t j = 0; j < width; ++j) {
      lane[j] = lane[j + width] > lane[j] ? lane[j + width] : lane[j];
    }
  }
  float largest = lane[0];
  for (; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

Candidate candidate_at(std::span<const float> logits, std::span<const TokenId> ids, std::size_t i) {
  return {.id = ids.empty() ? static_cast<TokenId>(i) : ids[i],
          .logit = std::min(logits[i], std::numeric_limits<float>::max()),
          .p = 0.0F};
}

std::vector<float> block_maxima(std::span<const float> logits) {
  std::vector<float> maxima((logits.size() + kBlock - 1) / kBlock);
  for (std::size_t b = 0; b < maxima.size(); ++b) {
    const std::size_t begin = b * kBlock;
    maxima[b] = max_of(logits.data() + begin, std::min(kBlock, logits.size() - begin));
  }
  return maxima;
}

/// The usable entries >= threshold, looking only into blocks whose maximum reaches it.
std::vector<Candidate> collect(std::span<const float> logits, std::span<const TokenId> ids,
                               std::span<const float> maxima, float threshold) {
  std::vector<Candidate> found;
  for (std::size_t b = 0; b < maxima.size(); ++b) {
    if (maxima[b] < threshold || maxima[b] == kMinusInfinity) continue;
    const std::size_t end = std::min(logits.size(), (b + 1) * kBlock);
    for (std::size_t i = b * kBlock; i < end; ++i) {
      if (logits[i] >= threshold && logits[i] > kMinusInfinity) {
        found.push_back(candidate_at(logits, ids, i));
      }
    }
  }
  return found;
}

}  // namespace

int argmax(std::span<const float> logits) {
  constexpr std::size_t kStride = 4096;  // floats; the winning stretch is read twice
  float best = kMinusInfinity;
  std::size_t best_begin = 0;
  for (std::size_t begin = 0; begin < logits.size(); begin += kStride) {
    const float m = max_of(logits.data() + begin, std::min(kStride, logits.size() - begin));
    if (m > best) {
      best = m;
      best_begin = begin;
    }
  }
  if (best == kMinusInfinity) return -1;
  std::size_t i = best_begin;
  while (logits[i] != best) ++i;
  return static_cast<int>(i);
}

std::vector<Candidate> select_top_k(std::span<const float> logits, std::span<const TokenId> ids,
                                    int k) {
  const auto wanted = static_cast<std::size_t>(std::max(k, 0));
  if (wanted == 0 || logits.empty()) return {};
  const std::vector<float> maxima = block_maxima(logits);
  float threshold = kMinusInfinity;
  if (wanted <= maxima.size()) {
    std::vector<float> order = maxima;
    const auto kth = order.begin() + static_cast<std::ptrdiff_t>(wanted - 1);
    std::nth_element(order.begin(), kth, order.end(), std::greater<>());
    threshold = *kth;
  }
  std::vector<Candidate> found = collect(logits, ids, maxima, threshold);
  const std::size_t kept = std::min(wanted, found.size());
  const auto end = found.begin() + static_cast<std::ptrdiff_t>(kept);
  if (kept < found.size()) std::nth_element(found.begin(), end, found.end(), comes_before);
  std::sort(found.begin(), end, comes_before);
  found.resize(kept);
  return found;
}

std::vector<Candidate> select_by_share(std::span<const float> logits, std::span<const TokenId> ids,
                                       float share) {
  if (logits.empty()) return {};
  const std::vector<float> maxima = block_maxima(logits);
  const float largest =
      std::min(*std::max_element(maxima.begin(), maxima.end()), std::numeric_limits<float>::max());
  return collect(logits, ids, maxima, largest + std::log(share));
}

std::vector<Candidate> select_all(std::span<const float> logits, std::span<const TokenId> ids) {
  std::vector<Candidate> found;
  found.reserve(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > kMinusInfinity) found.push_back(candidate_at(logits, ids, i));
  }
  return found;
}

}  // namespace foretoken::sampling
