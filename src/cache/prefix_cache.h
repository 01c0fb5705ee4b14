// Which checkpoints exist, by the tokens that lead to them: a radix tree over token sequences. A
// prompt goes on from the deepest checkpoint whose tokens are a prefix of it.
//
// Bounded in bytes. What goes first is what is cheapest to do again for the memory it holds: the
// value of a checkpoint is (tokens to process again without it, down to the next shallower one of
// its path) / (bytes freed by dropping it), more at the tip of a conversation that goes on, and
// aged by a clock that rises with every eviction (GreedyDual-Size, Cao and Irani 1997), so nothing
// stays for ever. What was never asked for again moves the clock less when it goes, so that side
// requests, however many, age each other and not the conversation they come between. Source:
// docs/prefix-cache.md; Marconi (MLSys 2025) for the value of a state by recompute.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/token.h"
#include "cache/checkpoint.h"

namespace foretoken::cache {

struct PrefixCacheOptions {
  std::size_t max_bytes = std::size_t{8} << 30;
  /// Kept whatever the bound: the newest checkpoints, so that a conversation goes on even with a
  /// bound of 0.
  int min_checkpoints = 1;
};

/// For metrics; hits, misses and evictions never fall.
struct PrefixCacheStats {
  std::size_t bytes = 0;  ///< state and pages held now, shared pages counted once
  int n_checkpoints = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evictions = 0;
};

/// Not thread safe: the inference worker owns it.
class PrefixCache {
 public:
  explicit PrefixCache(const PrefixCacheOptions& options);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  /// Takes a checkpoint in; one with the same tokens is replaced. May evict others, never this one.
  /// Returns false, and changes nothing, when it alone exceeds the bound and min_checkpoints is 0.
  /// Throws RequestError for one without tokens.
  bool insert(CheckpointPtr checkpoint);

  /// The deepest checkpoint with at most `max_tokens` tokens that `prompt` starts with, or null.
  /// Marks it as used.
  CheckpointPtr find(std::span<const TokenId> prompt, std::size_t max_tokens);

  /// Length of the longest common prefix with any checkpoint's tokens: with the length of what
  /// find() gave it tells, for logs, whether a hit was not deeper because the prompt is another
  /// there (equal) or because no checkpoint was near (longer).
  std::size_t common_prefix(std::span<const TokenId> prompt) const;

  /// All checkpoints on the path of `tokens`, shallowest first.
  std::vector<CheckpointPtr> path(std::span<const TokenId> tokens) const;

  /// Drops the checkpoints of that path that no other checkpoint continues. Returns how many.
  int erase(std::span<const TokenId> tokens);
  void clear();

  /// Every checkpoint, most valuable first.
  std::vector<CheckpointPtr> all() const;

  PrefixCacheStats stats() const;

 private:
  struct Tree;
  std::unique_ptr<Tree> tree_;
};

}  // namespace foretoken::cache
