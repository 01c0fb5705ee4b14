// Checkpoints for tests of the prefix cache: real tokens and page lists, pages of one byte that say
// they are larger, states of any size. Nothing can be computed from them.
#pragma once

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "cache/prefix_cache.h"

namespace foretoken::cache::light {

using Tokens = std::vector<TokenId>;

inline constexpr KvPageShape kLightShape{1, 1, 32, {quant::Type::Q8_0, quant::Type::Q8_0}};
inline constexpr KvPageShape kLightMtpShape{1, 1, 32, {quant::Type::Q4_0, quant::Type::Q4_0}};
inline const std::size_t kPageBytes = kLightShape.page_bytes();        // 4352
inline const std::size_t kMtpPageBytes = kLightMtpShape.page_bytes();  // 2304
inline constexpr std::size_t kPositions = 64;

inline std::shared_ptr<std::byte> new_page() { return std::make_shared<std::byte>(); }

// A checkpoint after `tokens`, on the pages of `base` as far as these are full and the same.
inline std::shared_ptr<Checkpoint> make_checkpoint(Tokens tokens, const Checkpoint* base = nullptr,
                                                   std::size_t state_floats = 50) {
  auto out = std::make_shared<Checkpoint>();
  out->kv_shape = kLightShape;
  out->mtp_shape = kLightMtpShape;
  const std::size_t n_pages = (tokens.size() + kPositions - 1) / kPositions;
  std::size_t n_shared = 0;
  if (base != nullptr) {
    const auto same =
        static_cast<std::size_t>(std::ranges::mismatch(tokens, base->tokens).in1 - tokens.begin());
    n_shared = same / kPositions;
  }
  for (std::size_t i = 0; i < n_pages; ++i) {
    out->kv.push_back(i < n_shared ? base->kv[i] : new_page());
    out->mtp_kv.push_back(i < n_shared ? base->mtp_kv[i] : new_page());
  }
  out->hidden.resize(state_floats);
  out->tokens = std::move(tokens);
  return out;
}

inline Tokens numbers(TokenId first, std::size_t n) {
  Tokens out(n);
  std::iota(out.begin(), out.end(), first);
  return out;
}

inline Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline PrefixCacheOptions options(std::size_t max_bytes, int min_checkpoints = 1) {
  return {max_bytes, min_checkpoints};
}

inline std::size_t bytes_of(const Checkpoint& c) {
  return c.own_bytes() + c.kv.size() * kPageBytes + c.mtp_kv.size() * kMtpPageBytes;
}

inline bool starts_with(const Tokens& tokens, const Tokens& prefix) {
  return prefix.size() <= tokens.size() && std::equal(prefix.begin(), prefix.end(), tokens.begin());
}

}  // namespace foretoken::cache::light
