// UTF-8 as the template engine needs it: Python strings are sequences of code points, ours are
// bytes. Malformed bytes count as one character each and pass through unchanged.
// Source: docs/chat-template.md, "Characters"; Python's str methods.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace foretoken::chat::jinja {

struct CodePoint {
  char32_t value = 0;    ///< the byte itself when malformed
  std::size_t size = 1;  ///< bytes
  bool valid = true;
};

/// The character at `offset` < text.size().
CodePoint decode(std::string_view text, std::size_t offset);
/// Start of the character that ends at `end` > 0.
std::size_t previous_start(std::string_view text, std::size_t end);
void encode(char32_t value, std::string& out);
std::size_t count_characters(std::string_view text);
/// Byte offset of character number `index`; text.size() when there are fewer.
std::size_t character_offset(std::string_view text, std::size_t index);

/// What Python's str.isspace says, which is also what str.strip() removes.
bool is_space(char32_t value);

/// One-to-one case mapping of the Unicode database; characters that map to several stay as they
/// are (the German sharp s is not turned into two letters).
char32_t to_upper(char32_t value);
char32_t to_lower(char32_t value);

/// Byte range left when characters of `set` (empty: whitespace) are taken off the chosen ends.
struct Range {
  std::size_t begin;
  std::size_t end;
};
enum class Ends { Both, Left, Right };
Range trim_range(std::string_view text, Ends ends, std::string_view set, bool whitespace);

}  // namespace foretoken::chat::jinja
