// Text that came from outside, made safe to show on one line of a terminal or in an error.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace foretoken {

/// `text` with control characters (C0, DEL, C1) and bytes that are not UTF-8 written as \n, \t or
/// \xNN and a backslash doubled; cut at a character's border after at most `limit` bytes of input,
/// then "..." follows.
std::string printable(std::string_view text, std::size_t limit = 128);

/// printable() between single quotes.
std::string quoted(std::string_view text, std::size_t limit = 128);
// For a std::string or a literal, argument-dependent lookup also finds std::quoted of <iomanip>,
// which would match better than a conversion to string_view; these match exactly and so win.
inline std::string quoted(const std::string& text, std::size_t limit = 128) {
  return quoted(std::string_view(text), limit);
}
inline std::string quoted(std::string& text, std::size_t limit = 128) {
  return quoted(std::string_view(text), limit);
}
inline std::string quoted(const char* text, std::size_t limit = 128) {
  return quoted(std::string_view(text), limit);
}

/// Bytes of the UTF-8 character at the start of `text` (1 to 4), or 0 when they are not well-formed
/// (overlong, surrogate, above U+10FFFF, cut off) or `text` is empty.
std::size_t utf8_length(std::string_view text);

}  // namespace foretoken
