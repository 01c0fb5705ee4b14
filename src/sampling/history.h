// What a sequence has said so far, as the penalties need it: all tokens in order, and how often
// each occurs among the last few. Drafting walks forward token by token and steps back when drafts
// are refused, so every step can be undone.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/token.h"

namespace foretoken::sampling {

class History {
 public:
  /// Counts are kept over the last `window` tokens. Requires window >= 0.
  explicit History(int window) : window_(static_cast<std::size_t>(window)) {}

  /// Appends a token. Amortised constant time.
  void accept(TokenId id);

  /// Forgets the last n tokens; n beyond the history empties it, n <= 0 does nothing.
  void rollback(int n);

  int size() const { return static_cast<int>(tokens_.size()); }

  /// The last n tokens, oldest first; fewer when the history is shorter. Valid until the next
  /// change.
  std::span<const TokenId> last(int n) const;

  /// Token -> occurrences (>= 1) among the last `window` tokens.
  const std::unordered_map<TokenId, int>& counts() const { return counts_; }

 private:
  void forget_one(TokenId id);

  std::size_t window_;
  std::vector<TokenId> tokens_;
  std::unordered_map<TokenId, int> counts_;
};

}  // namespace foretoken::sampling
