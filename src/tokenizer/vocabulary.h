// A vocabulary as files state it, before it is checked: the one form that both readers (GGUF,
// Hugging Face) produce and that Tokenizer takes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::tokenizer {

/// A merge rule "left right"; rules stand in order of rank.
struct MergeRule {
  std::string text;           ///< both spellings with one space between
  std::size_t left_size = 0;  ///< bytes before that space

  std::string_view left() const { return std::string_view(text).substr(0, left_size); }
  std::string_view right() const { return std::string_view(text).substr(left_size + 1); }
};

struct Vocabulary {
  std::string file;        ///< for error texts, as are the two keys
  std::string tokens_key;  ///< where the tokens stand in that file
  std::string merges_key;

  std::string pre_tokenizer;  ///< "qwen2" or "qwen35"
  bool normalize_nfc = true;
  std::vector<std::string> spellings;  ///< by id; byte symbols, for added tokens plain text
  std::vector<TokenKind> kinds;        ///< by id; as many as spellings
  std::vector<MergeRule> merges;
  std::vector<TokenId> end_ids;  ///< the file's own end tokens
  std::optional<std::string> chat_template;
};

/// True for the name "[PAD<id>]" that converters give to slots above the real vocabulary.
bool is_padding_name(std::string_view spelling, std::size_t id);

}  // namespace foretoken::tokenizer
