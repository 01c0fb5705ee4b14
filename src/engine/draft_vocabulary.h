// The rows of the output matrix that drafts may come from. Scoring all 248K rows would be four
// fifths of a draft step; a draft that cannot name a rare token loses a little acceptance and never
// changes the text, because the target judges every token with its full head.
//
// Two parts: the first `n_frequent` ids, since byte-pair merges are numbered in the order they were
// learnt, which is by falling frequency, plus all control and added tokens; and the tokens of the
// texts at hand (names, identifiers, a foreign script), the newest kept. Rows come in groups of 16,
// as the packed matrix holds them, so no row is copied. Source: docs/mtp.md, "Draft vocabulary";
// FR-Spec (ACL 2025) for the idea.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "base/token.h"
#include "kernels/ops.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::engine {

class DraftVocabulary {
 public:
  /// `n_frequent` 0 (or at least the vocabulary's size): the full head.
  DraftVocabulary(const tokenizer::Tokenizer& tokenizer, int n_vocab, int n_frequent);

  bool is_full() const { return full_; }
  /// A token occurred in the text.
  void add(TokenId token);
  /// Whether a draft could be this token.
  bool contains(TokenId token) const;
  /// Row ranges to score, ascending and disjoint.
  std::span<const kernels::RowRange> ranges();
  /// Token of each scored row, in the order of the ranges.
  std::span<const TokenId> ids();

 private:
  void rebuild();

  int n_vocab_;
  bool full_;
  bool stale_ = true;
  std::vector<bool> fixed_;  // [groups]
  std::vector<bool> seen_;   // [groups], those in newest_
  std::deque<int> newest_;   // groups added by the text, oldest first
  std::vector<kernels::RowRange> ranges_;
  std::vector<TokenId> ids_;
};

}  // namespace foretoken::engine
