// Block maxima are kept in 16 independent lanes: written so, the loop needs no reordering of
// floating point operations and compiles to packed maxima at the baseline instruction set. `x > m ?
// x : m` also drops NaN, since any comparison with it is false.
#include "sampling/select.h"

#include <algorithm>
#include <array>
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
  std::vector<Candidate> found;
  const auto wanted = static_cast<std::size_t>(std::max(k, 0));
  if (wanted == 0 || logits.empty()) return found;
  const std::size_t n_blocks = (logits.size() + kBlock - 1) / kBlock;
  std::vector<float> block_max(n_blocks);
  for (std::size_t b = 0; b < n_blocks; ++b) {
    block_max[b] = max_of(logits.data() + b * kBlock, std::min(kBlock, logits.size() - b * kBlock));
  }
  float threshold = kMinusInfinity;
  if (wanted <= n_blocks) {
    std::vector<float> order = block_max;
    const auto kth = order.begin() + static_cast<std::ptrdiff_t>(wanted - 1);
    std::nth_element(order.begin(), kth, order.end(), std::greater<>());
    threshold = *kth;
  }
  for (std::size_t b = 0; b < n_blocks; ++b) {
    if (block_max[b] < threshold || block_max[b] == kMinusInfinity) continue;
    const std::size_t end = std::min(logits.size(), (b + 1) * kBlock);
    for (std::size_t i = b * kBlock; i < end; ++i) {
      if (logits[i] >= threshold && logits[i] > kMinusInfinity) {
        found.push_back(candidate_at(logits, ids, i));
      }
    }
  }
  const std::size_t kept = std::min(wanted, found.size());
  const auto end = found.begin() + static_cast<std::ptrdiff_t>(kept);
  if (kept < found.size()) std::nth_element(found.begin(), end, found.end(), comes_before);
  std::sort(found.begin(), end, comes_before);
  found.resize(kept);
  return found;
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
