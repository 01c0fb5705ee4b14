// The scanner of pretokenize.h for pieces inside ASCII text. Its cases stand in the order of the
// expression's alternatives.
#include <array>

#include "tokenizer/pretokenize.h"

namespace foretoken::tokenizer {
namespace {

enum class Class : unsigned char { Other, Letter, Digit, Space, Newline, NotAscii };

constexpr std::array<Class, 256> kClasses = [] {
  std::array<Class, 256> classes{};
  for (std::size_t c = 0; c < 256; ++c) {
    if (c >= 0x80) {
      classes[c] = Class::NotAscii;
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      classes[c] = Class::Letter;
    } else if (c >= '0' && c <= '9') {
      classes[c] = Class::Digit;
    } else if (c == '\n' || c == '\r') {
      classes[c] = Class::Newline;
    } else if (c == ' ' || (c >= '\t' && c <= '\r')) {
      classes[c] = Class::Space;
    }
  }
  return classes;
}();

Class class_of(char c) { return kClasses[static_cast<unsigned char>(c)]; }
bool is_space(Class c) { return c == Class::Space || c == Class::Newline; }

/// First position at or after `pos` whose class differs from `run`.
std::size_t end_of_run(std::string_view text, std::size_t pos, Class run) {
  while (pos < text.size() && class_of(text[pos]) == run) ++pos;
  return pos;
}

bool is_not_ascii(std::string_view text, std::size_t pos) {
  return pos < text.size() && class_of(text[pos]) == Class::NotAscii;
}

struct Found {
  std::size_t length = 0;
  bool known = true;  // false: a character outside ASCII decides
};

/// (?i:'s|'t|'re|'ve|'m|'ll|'d) for a text that starts with an apostrophe. Length 0: no match.
Found contraction(std::string_view text) {
  if (is_not_ascii(text, 1) || is_not_ascii(text, 2)) return {0, false};
  const auto lower = [&](std::size_t i) {
    return i < text.size() ? static_cast<char>(text[i] | 0x20) : '\0';
  };
  const char first = lower(1);
  const char second = lower(2);
  // Setting bit 5 maps letters to lower case, and nothing but a letter to these letters.
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return {2};
  if ((first == 'r' || first == 'v') && second == 'e') return {3};
  if (first == 'l' && second == 'l') return {3};
  return {0};
}

/// Letters from `begin` on, as the piece that starts at 0.
std::size_t letters(std::string_view text, std::size_t begin) {
  const std::size_t end = end_of_run(text, begin, Class::Letter);
  return is_not_ascii(text, end) ? 0 : end;
}

/// White space that starts at 0.
std::size_t white_space(std::string_view text) {
  std::size_t end = 0;
  std::size_t after_newline = 0;  // end of the last newline
  for (; end < text.size() && is_space(class_of(text[end])); ++end) {
    if (class_of(text[end]) == Class::Newline) after_newline = end + 1;
  }
  if (is_not_ascii(text, end)) return 0;
  if (after_newline != 0) return after_newline;
  if (end == text.size() || end == 1) return end;
  return end - 1;  // the last one goes with what follows
}

}  // namespace

std::size_t ascii_piece_length(std::string_view text) {
  const Class first = class_of(text[0]);
  switch (first) {
    case Class::Letter:
      return letters(text, 1);
    case Class::Digit:
      return 1;
    case Class::NotAscii:
      return 0;
    case Class::Newline:
      return white_space(text);
    case Class::Space:
    case Class::Other:
      break;
  }
  if (text[0] == '\'') {
    const Found found = contraction(text);
    if (!found.known || found.length != 0) return found.length;
  }
  if (is_not_ascii(text, 1)) return 0;
  const Class second = text.size() > 1 ? class_of(text[1]) : Class::NotAscii;
  if (second == Class::Letter) return letters(text, 2);
  if (first == Class::Space && !(text[0] == ' ' && second == Class::Other)) {
    return white_space(text);
  }
  const std::size_t end = end_of_run(text, 1, Class::Other);
  if (is_not_ascii(text, end)) return 0;
  return end_of_run(text, end, Class::Newline);
}

}  // namespace foretoken::tokenizer
