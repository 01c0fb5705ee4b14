// A vocabulary small enough to work by hand, for tests: the 256 bytes, some merges, some added
// tokens. Ids of bytes are the bytes.
#pragma once

#include <random>
#include <string>
#include <string_view>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocabulary.h"

namespace foretoken::tokenizer {

inline std::string spell(std::string_view bytes) {
  std::string spelling;
  for (const char c : bytes) append_utf8(spelling, byte_symbol(static_cast<unsigned char>(c)));
  return spelling;
}

inline TokenId add_token(Vocabulary& vocabulary, std::string spelling, TokenKind kind) {
  vocabulary.spellings.push_back(std::move(spelling));
  vocabulary.kinds.push_back(kind);
  return static_cast<TokenId>(vocabulary.spellings.size() - 1);
}

/// Adds the rule "left right" and the token it makes; returns the token's id.
inline TokenId add_merge(Vocabulary& vocabulary, std::string_view left, std::string_view right) {
  const std::string left_spelling = spell(left);
  vocabulary.merges.push_back({left_spelling + " " + spell(right), left_spelling.size()});
  return add_token(vocabulary, left_spelling + spell(right), TokenKind::Normal);
}

/// 256 bytes, no merges.
inline Vocabulary bytes_vocabulary() {
  Vocabulary vocabulary;
  vocabulary.file = "test.gguf";
  vocabulary.tokens_key = "tokenizer.ggml.tokens";
  vocabulary.merges_key = "tokenizer.ggml.merges";
  vocabulary.pre_tokenizer = "qwen35";
  for (unsigned byte = 0; byte < 256; ++byte) {
    add_token(vocabulary, spell(std::string(1, static_cast<char>(byte))), TokenKind::Normal);
  }
  return vocabulary;
}

/// Random text made of the characters that the pre-tokenizer distinguishes. Each text mixes all of
/// `alphabet`, with ASCII twice as likely as the rest together.
inline std::string random_text(std::mt19937& rng, std::size_t n_chars) {
  static constexpr char32_t kOther[] = {
      0xE9,    0xDF,     0x17F,  0x212A, 0x301,  0x327,  0x345,  0x5D0,  0x661, 0x968,
      0x2164,  0xBD,     0x4E2D, 0x3042, 0xAC00, 0x1100, 0x1161, 0x85,   0xA0,  0x2003,
      0x2028,  0x3000,   0x180E, 0x200B, 0x200D, 0xFEFF, 0x2019, 0x20AC, 0xAB,  0x1F600,
      0x1F1E6, 0x10FFFF, 0xE000, 0x212B, 0x1E9B, 0xF900, 0x2126, 0xFB1D, 0x344, 0x958};
  static constexpr std::string_view kAscii =
      "aZsStTmMdDrReEvVlLkK019''''    \t\v\f\n\r\n.,-_(){}<>|#\"\x01\x1C\x1F\x7F";
  std::string text;
  for (std::size_t i = 0; i < n_chars; ++i) {
    if (rng() % 3 != 0) {
      text += kAscii[rng() % kAscii.size()];
    } else {
      append_utf8(text, kOther[rng() % std::size(kOther)]);
    }
  }
  return text;
}

}  // namespace foretoken::tokenizer
