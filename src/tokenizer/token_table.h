// The checked list of tokens: raw bytes and kind by id.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::tokenizer {

/// Immutable after construction.
class TokenTable {
 public:
  /// Throws FormatError when a spelling is outside the byte alphabet.
  explicit TokenTable(const Vocabulary& vocabulary);

  int size() const { return static_cast<int>(kinds_.size()); }
  /// Ids from here on are padding slots.
  int n_real() const { return n_real_; }
  /// Requires 0 <= id < size().
  std::string_view piece(TokenId id) const {
    const auto i = static_cast<std::size_t>(id);
    return std::string_view(bytes_).substr(starts_[i], starts_[i + 1] - starts_[i]);
  }
  TokenKind kind(TokenId id) const { return kinds_[static_cast<std::size_t>(id)]; }

 private:
  std::string bytes_;                // all pieces, one after the other
  std::vector<std::size_t> starts_;  // [size() + 1]
  std::vector<TokenKind> kinds_;
  int n_real_ = 0;
};

/// Kinds whose text is plain and is looked for in the input before anything else.
inline bool is_added(TokenKind kind) {
  return kind == TokenKind::Control || kind == TokenKind::UserDefined;
}

}  // namespace foretoken::tokenizer
