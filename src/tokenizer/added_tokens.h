// Finds added tokens such as <|im_end|> in a text: leftmost first, then longest.
//
// A trie holds the names. Almost no character starts one, so the search first runs over the text
// for a possible first byte.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/token.h"

namespace foretoken::tokenizer {

class TokenTable;

/// Stretch [begin, end) of a text.
struct TextRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// One added token found in a text.
struct AddedMatch {
  TextRange range;
  TokenId id = 0;
};

/// Immutable and thread-safe.
class AddedTokens {
 public:
  /// Takes the Control and UserDefined tokens of `tokens`. Throws FormatError, naming `file`, when
  /// one is empty, longer than 1024 bytes, or spelled like another.
  AddedTokens(const TokenTable& tokens, std::string_view file);

  /// The next token at or after `from`. UserDefined tokens match anywhere, Control tokens only
  /// inside one of the ranges `trusted`, which are sorted and do not touch each other.
  std::optional<AddedMatch> find(std::string_view text, std::size_t from,
                                 std::span<const TextRange> trusted) const;
  /// Id of the token spelled exactly `text`.
  std::optional<TokenId> find_exact(std::string_view text) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, int>> next;  // sorted by byte
    TokenId id = -1;                                  // of the name that ends here
    bool control = false;
  };
  int child(int node, unsigned char byte) const;
  std::optional<AddedMatch> match_at(std::string_view text, std::size_t begin,
                                     std::size_t control_end) const;

  std::vector<Node> nodes_;
  std::array<bool, 256> starts_{};
  std::size_t n_starts_ = 0;
  unsigned char only_start_ = 0;  // the first byte of all names when n_starts_ == 1
};

}  // namespace foretoken::tokenizer
