// See unicode.h.
#include "chat/jinja/unicode.h"

#include <utf8proc.h>

namespace foretoken::chat::jinja {

CodePoint decode(std::string_view text, std::size_t offset) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[offset + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const CodePoint malformed{lead, 1, false};
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() - offset < size) return malformed;
  char32_t value = lead & (0x7Fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0u) != 0x80) return malformed;
    value = (value << 6) | (byte(i) & 0x3Fu);
  }
  const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (overlong || surrogate || value > 0x10FFFF) return malformed;
  return {value, size, true};
}

std::size_t previous_start(std::string_view text, std::size_t end) {
  for (std::size_t size = 1; size <= 4 && size <= end; ++size) {
    const CodePoint point = decode(text, end - size);
    if (point.valid && point.size == size) return end - size;
  }
  return end - 1;
}

void encode(char32_t value, std::string& out) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0 | (value >> 6));
    put(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    put(0xE0 | (value >> 12));
    put(0x80 | ((value >> 6) & 0x3F));
    put(0x80 | (value & 0x3F));
  } else {
    put(0xF0 | (value >> 18));
    put(0x80 | ((value >> 12) & 0x3F));
    put(0x80 | ((value >> 6) & 0x3F));
    put(0x80 | (value & 0x3F));
  }
}

std::size_t count_characters(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); at += decode(text, at).size) ++count;
  return count;
}

std::size_t character_offset(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += decode(text, at).size;
  return at;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

char32_t to_upper(char32_t value) {
  if (value == 0xDF) return value;
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(value)));
}

char32_t to_lower(char32_t value) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(value)));
}

Range trim_range(std::string_view text, Ends ends, std::string_view set, bool whitespace) {
  const auto removable = [&](std::size_t at) {
    const CodePoint point = decode(text, at);
    if (whitespace) return point.valid && is_space(point.value);
    for (std::size_t i = 0; i < set.size();) {
      const CodePoint member = decode(set, i);
      if (member.value == point.value && member.valid == point.valid) return true;
      i += member.size;
    }
    return false;
  };
  Range range{0, text.size()};
  if (ends != Ends::Right) {
    while (range.begin < range.end && removable(range.begin)) {
      range.begin += decode(text, range.begin).size;
    }
  }
  if (ends != Ends::Left) {
    while (range.end > range.begin) {
      const std::size_t start = previous_start(text, range.end);
      if (start < range.begin || !removable(start)) break;
      range.end = start;
    }
  }
  return range;
}

}  // namespace foretoken::chat::jinja
