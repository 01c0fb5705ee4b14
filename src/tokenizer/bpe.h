// Byte-pair encoding of one piece: start from single bytes, repeatedly merge the adjacent pair of
// lowest rank (the leftmost of equals) until no pair has a rule.
//
// Short pieces, which is nearly all of them, are scanned on the stack; long ones use a heap of
// candidate pairs over a linked list, O(n log n).
// Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units".
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "tokenizer/merge_table.h"

namespace foretoken::tokenizer {

class TokenTable;
struct Vocabulary;

/// Immutable and thread-safe.
class Bpe {
 public:
  /// Throws UnsupportedError for more than MergeTable::kMaxIds tokens or kMaxRules rules, and
  /// FormatError, naming file and key, when two tokens are the same byte string, one of the
  /// 256 bytes has no token, or a rule names a piece outside the vocabulary or appears twice.
  Bpe(const Vocabulary& vocabulary, const TokenTable& tokens);

  /// Appends the ids of `piece`, any byte string.
  void encode(std::string_view piece, std::vector<TokenId>& out) const;
  /// The same by the heap, for any length; encode() picks the faster way.
  void encode_long(std::string_view piece, std::vector<TokenId>& out) const;

 private:
  void encode_short(std::string_view piece, std::vector<TokenId>& out) const;

  std::array<TokenId, 256> byte_ids_;
  std::vector<std::uint32_t> byte_ranks_;  // [256, 256]: find_rank() for the tokens of two bytes
  MergeTable merges_;
};

}  // namespace foretoken::tokenizer
