// DRY, "don't repeat yourself": a penalty on tokens that would prolong a run of text that already
// occurred, growing exponentially with the length of the run. Unlike the token penalties it leaves
// short phrases alone.
// Source of the rule: LostRuins/koboldcpp#982, as llama.cpp applies it.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "base/token.h"
#include "sampling/params.h"

namespace foretoken::sampling {

/// The rule with its breakers indexed; immutable.
class Dry {
 public:
  /// Requires validated parameters.
  explicit Dry(const SamplingParams& params);

  /// False when the parameters switch DRY off.
  bool enabled() const { return enabled_; }

  /// Tokens to look back.
  int window() const { return window_; }

  /// For each token that would prolong a repeated run, the finite amount to subtract from its
  /// logit.
  ///
  /// A run of length n >= allowed_length at the end of `recent` that also occurs earlier, followed
  /// there by token t, costs t multiplier * base^(n - allowed_length); the longest run counts. Runs
  /// do not reach back across the latest breaker, and a token that is a breaker by itself costs
  /// nothing. `recent` holds the last window() tokens, oldest first. Linear in its length, plus the
  /// breakers that start with one of its tokens.
  std::unordered_map<TokenId, float> penalties(std::span<const TokenId> recent) const;

 private:
  int run_limit(std::span<const TokenId> recent) const;
  float run_penalty(int length) const;

  bool enabled_;
  double multiplier_;
  double base_;
  int allowed_length_;
  int window_;
  /// First token -> the breakers that start with it, longest first.
  std::unordered_map<TokenId, std::vector<std::vector<TokenId>>> breakers_;
};

}  // namespace foretoken::sampling
