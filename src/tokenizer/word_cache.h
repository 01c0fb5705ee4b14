// Remembers the ids of short pieces: most words of a text have been met before, and a look-up of
// one cache line is many times cheaper than merging.
//
// Fixed size, direct-mapped: a new piece simply takes the place of the one before it, so nothing
// grows and nothing has to be evicted. One thread at a time.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "base/token.h"

namespace foretoken::tokenizer {

class WordCache {
 public:
  static constexpr std::size_t kMaxPieceBytes = 31;
  static constexpr std::size_t kMaxIds = 7;

  WordCache() : entries_(kNumEntries) {}

  /// A piece made ready for comparison. Requires 1 <= piece.size() <= kMaxPieceBytes.
  struct Key {
    alignas(16) std::array<char, kMaxPieceBytes + 1> bytes{};  // zero-padded, the length last
    std::size_t slot;

    explicit Key(std::string_view piece) {
      std::memcpy(bytes.data(), piece.data(), piece.size());
      bytes.back() = static_cast<char>(piece.size());
      std::array<std::uint64_t, 4> words;
      std::memcpy(words.data(), bytes.data(), sizeof words);
      std::uint64_t hash = words[0] * 0x9E3779B97F4A7C15u;
      hash = (std::rotl(hash, 29) ^ words[1]) * 0xBF58476D1CE4E5B9u;
      hash = (std::rotl(hash, 31) ^ words[2]) * 0x94D049BB133111EBu;
      hash = (std::rotl(hash, 30) ^ words[3]) * 0x9E3779B97F4A7C15u;
      slot = static_cast<std::size_t>(hash >> (64 - kSlotBits));
    }
  };

  /// The ids of a piece; empty when it is not here. Valid until the next store().
  std::span<const TokenId> find(const Key& key) const {
    const Entry& entry = entries_[key.slot];
    if (std::memcmp(entry.key.data(), key.bytes.data(), key.bytes.size()) != 0) return {};
    return {entry.ids.data(), entry.n_ids};
  }

  /// Requires ids.size() <= kMaxIds.
  void store(const Key& key, std::span<const TokenId> ids) {
    Entry& entry = entries_[key.slot];
    entry.key = key.bytes;
    entry.n_ids = static_cast<std::uint32_t>(ids.size());
    std::ranges::copy(ids, entry.ids.begin());
  }

 private:
  static constexpr int kSlotBits = 15;
  static constexpr std::size_t kNumEntries = std::size_t{1} << kSlotBits;

  struct alignas(64) Entry {  // one cache line; length 0 marks an empty one
    std::array<char, kMaxPieceBytes + 1> key{};
    std::uint32_t n_ids = 0;
    std::array<TokenId, kMaxIds> ids{};
  };
  static_assert(sizeof(Entry) == 64);

  std::vector<Entry> entries_;
};

}  // namespace foretoken::tokenizer
