// Reading UTF-8 one character at a time, strictly (Unicode 15, table 3-7: no overlong forms, no
// surrogates, nothing above U+10FFFF), and writing it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace foretoken::tokenizer {

/// What stands at one position of a text.
struct Utf8Step {
  char32_t code = 0;       ///< the character, when valid
  std::size_t length = 0;  ///< bytes of the character, or of the maximal subpart when not valid
  bool valid = false;
  bool truncated = false;  ///< not valid only because the text ends too early
};

/// Requires pos < text.size().
inline Utf8Step utf8_step(std::string_view text, std::size_t pos) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(pos);
  if (lead < 0x80) return {lead, 1, true, false};
  if (lead < 0xC2 || lead > 0xF4) return {0, 1, false, false};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range is narrower after E0, ED, F0 and F4.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t code = lead & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if (pos + i >= text.size()) return {0, i, false, true};
    const unsigned next = byte(pos + i);
    if (next < (i == 1 ? low : 0x80) || next > (i == 1 ? high : 0xBF)) return {0, i, false, false};
    code = (code << 6) | (next & 0x3F);
  }
  return {code, length, true, false};
}

/// Appends a scalar value (no surrogate, at most U+10FFFF).
inline void append_utf8(std::string& out, char32_t code) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace foretoken::tokenizer
