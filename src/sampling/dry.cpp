// For every earlier position one needs to know how long the text before it agrees with the text's
// end. Read backwards, that is the Z function of a string, known in linear time (Gusfield,
// "Algorithms on Strings, Trees, and Sequences", 1.4).
#include "sampling/dry.h"

#include <algorithm>
#include <cmath>

namespace foretoken::sampling {
namespace {

/// z[i] = length of the longest common prefix of text and text[i..]; z[0] = 0 by convention.
std::vector<int> z_function(std::span<const TokenId> text) {
  const int n = static_cast<int>(text.size());
  std::vector<int> z(text.size(), 0);
  const auto at = [text](int i) { return text[static_cast<std::size_t>(i)]; };
  int left = 0;
  int right = 0;  // text[left, right) equals text[0, right - left)
  for (int i = 1; i < n; ++i) {
    int length = i < right ? std::min(right - i, z[static_cast<std::size_t>(i - left)]) : 0;
    while (i + length < n && at(length) == at(i + length)) ++length;
    if (i + length > right) {
      left = i;
      right = i + length;
    }
    z[static_cast<std::size_t>(i)] = length;
  }
  return z;
}

}  // namespace

Dry::Dry(const SamplingParams& params)
    : enabled_(params.dry_multiplier > 0.0F && params.dry_penalty_last_n > 0),
      multiplier_(static_cast<double>(params.dry_multiplier)),
      base_(static_cast<double>(params.dry_base)),
      allowed_length_(params.dry_allowed_length),
      window_(params.dry_penalty_last_n) {
  if (!enabled_) return;
  for (const std::vector<TokenId>& breaker : params.dry_sequence_breakers) {
    breakers_[breaker.front()].push_back(breaker);
  }
  for (auto& entry : breakers_) {
    std::stable_sort(entry.second.begin(), entry.second.end(),
                     [](const auto& a, const auto& b) { return a.size() > b.size(); });
  }
}

/// Number of tokens after the latest complete breaker in `recent`; its whole length without one.
int Dry::run_limit(std::span<const TokenId> recent) const {
  for (std::size_t begin = recent.size(); begin-- > 0;) {
    const auto starting_here = breakers_.find(recent[begin]);
    if (starting_here == breakers_.end()) continue;
    const std::span<const TokenId> tail = recent.subspan(begin);
    for (const std::vector<TokenId>& breaker : starting_here->second) {
      if (breaker.size() > tail.size()) continue;
      if (std::equal(breaker.begin(), breaker.end(), tail.begin())) {
        return static_cast<int>(tail.size() - breaker.size());
      }
    }
  }
  return static_cast<int>(recent.size());
}

float Dry::run_penalty(int length) const {
  constexpr double kLargest = 3.0e38;  // just below the largest float
  const double power = std::pow(base_, static_cast<double>(length - allowed_length_));
  return static_cast<float>(std::min(multiplier_ * power, kLargest));
}

std::unordered_map<TokenId, float> Dry::penalties(std::span<const TokenId> recent) const {
  std::unordered_map<TokenId, float> amounts;
  const int n = static_cast<int>(recent.size());
  if (!enabled_ || n <= allowed_length_) return amounts;
  const int limit = run_limit(recent);
  if (limit < allowed_length_) return amounts;

  const std::vector<TokenId> backwards(recent.rbegin(), recent.rend());
  const std::vector<int> z = z_function(backwards);
  std::unordered_map<TokenId, int> longest;  // next token -> longest run it would prolong
  for (int i = 1; i < n; ++i) {
    const int length = std::min(z[static_cast<std::size_t>(i)], limit);
    if (length < allowed_length_) continue;
    int& best = longest.try_emplace(backwards[static_cast<std::size_t>(i - 1)], 0).first->second;
    best = std::max(best, length);
  }
  for (const auto& [token, length] : longest) {
    const auto starting = breakers_.find(token);
    if (starting != breakers_.end() && starting->second.back().size() == 1) continue;
    amounts.emplace(token, run_penalty(length));
  }
  return amounts;
}

}  // namespace foretoken::sampling
