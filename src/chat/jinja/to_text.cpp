// See to_text.h.
#include "chat/jinja/to_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "chat/jinja/unicode.h"

namespace foretoken::chat::jinja {
namespace {

// Python escapes what it calls not printable; of those, controls, separators and the byte order
// mark are the ones that occur.
bool printable(char32_t c) {
  if (c < 0x20 || (c >= 0x7F && c < 0xA1) || c == 0xAD || c == 0xFEFF) return false;
  return c == 0x20 || !is_space(c);
}

void append_repr_string(TextBuilder& out, const Text& text) {
  const std::string& bytes = text.bytes();
  const bool has_single = bytes.find('\'') != std::string::npos;
  const char quote = has_single && bytes.find('"') == std::string::npos ? '"' : '\'';
  out.append(std::string_view(&quote, 1), true);
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint point = decode(bytes, at);
    const char32_t c = point.value;
    const bool trusted = text.trusted_at(at);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out.append("\\", trusted);
      out.append(text, at, at + 1);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out.append(c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", trusted);
    } else if (point.valid && !printable(c)) {
      const auto code = static_cast<std::uint32_t>(c);
      out.append(c < 0x100 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code),
                 trusted);
    } else {
      out.append(text, at, at + point.size);
    }
    at += point.size;
  }
  out.append(std::string_view(&quote, 1), true);
}

void append_repr_list(TextBuilder& out, const List& list) {
  out.append(list.tuple ? "(" : "[", true);
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out.append(", ", true);
    append_repr(out, list.items[i]);
  }
  if (list.tuple && list.items.size() == 1) out.append(",", true);
  out.append(list.tuple ? ")" : "]", true);
}

void append_repr_dict(TextBuilder& out, const Dict& dict) {
  out.append("{", true);
  bool first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!first) out.append(", ", true);
    first = false;
    append_repr(out, key);
    out.append(": ", true);
    append_repr(out, value);
  }
  out.append("}", true);
}

void append_json_escape(TextBuilder& out, char32_t c, bool trusted) {
  const auto unit = [&](std::uint32_t u) { out.append(fmt::format("\\u{:04x}", u), trusted); };
  switch (c) {
    case '"':
      return out.append("\\\"", trusted);
    case '\\':
      return out.append("\\\\", trusted);
    case '\n':
      return out.append("\\n", trusted);
    case '\r':
      return out.append("\\r", trusted);
    case '\t':
      return out.append("\\t", trusted);
    case '\b':
      return out.append("\\b", trusted);
    case '\f':
      return out.append("\\f", trusted);
    default:
      break;
  }
  if (c < 0x10000) return unit(c);
  unit(0xD800 + ((c - 0x10000) >> 10));
  unit(0xDC00 + ((c - 0x10000) & 0x3FF));
}

void append_json_string(TextBuilder& out, const Text& text, bool ascii_only) {
  const std::string& bytes = text.bytes();
  out.append("\"", true);
  std::size_t plain = 0;  // start of the stretch that needs no escape
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint point = decode(bytes, at);
    const char32_t c = point.value;
    if (c < 0x20 || c == '"' || c == '\\' || (ascii_only && point.valid && c > 0x7E)) {
      out.append(text, plain, at);
      append_json_escape(out, c, text.trusted_at(at));
      plain = at + point.size;
    }
    at += point.size;
  }
  out.append(text, plain, bytes.size());
  out.append("\"", true);
}

class JsonWriter {
 public:
  JsonWriter(TextBuilder& out, const JsonStyle& style) : out_(out), style_(style) {}

  void write(const Value& value) {
    if (const Text* text = value.text()) {
      append_json_string(out_, *text, style_.ascii_only);
    } else if (const List* list = value.list()) {
      write_list(*list);
    } else if (const Dict* dict = value.dict()) {
      write_dict(*dict);
    } else {
      out_.append(scalar(value), true);
    }
  }

 private:
  std::string scalar(const Value& value) {
    if (value.is<None>()) return "null";
    if (const bool* b = value.get_if<bool>()) return *b ? "true" : "false";
    if (const Int* i = value.get_if<Int>()) return int_repr(*i);
    if (const double* d = value.get_if<double>()) {
      if (std::isnan(*d)) return "NaN";
      if (std::isinf(*d)) return *d > 0 ? "Infinity" : "-Infinity";
      return float_repr(*d);
    }
    out_.context().fail("a value of type " + std::string(value.type_name()) +
                        " cannot be written as JSON");
  }

  void begin_item(bool first) {
    if (!first) out_.append(style_.item_separator, true);
    if (style_.indent) new_line();
  }
  void new_line() {
    out_.append("\n", true);
    out_.append(std::string(static_cast<std::size_t>(*style_.indent) * level_, ' '), true);
  }

  void write_list(const List& list) {
    out_.append("[", true);
    ++level_;
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      begin_item(i == 0);
      write(list.items[i]);
    }
    --level_;
    if (style_.indent && !list.items.empty()) new_line();
    out_.append("]", true);
  }

  void write_dict(const Dict& dict) {
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      out_.context().charge_steps(entries.size() * 4);
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return less(out_.context(), a->first, b->first);
      });
    }
    out_.append("{", true);
    ++level_;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      begin_item(i == 0);
      write_key(entries[i]->first);
      out_.append(style_.key_separator, true);
      write(entries[i]->second);
    }
    --level_;
    if (style_.indent && !entries.empty()) new_line();
    out_.append("}", true);
  }

  void write_key(const Value& key) {
    if (key.is<TextPtr>()) return write(key);
    out_.append("\"" + scalar(key) + "\"", true);
  }

  TextBuilder& out_;
  const JsonStyle& style_;
  std::size_t level_ = 0;
};

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto result =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<std::size_t>(result.ptr - buffer));
  std::string sign;
  if (text.front() == '-') {
    sign = "-";
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  const int n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {  // the range where Python switches to exponents
    std::string mantissa = digits.substr(0, 1);
    if (n > 1) mantissa += "." + digits.substr(1);
    return fmt::format("{}{}e{}{:02}", sign, mantissa, exponent < 0 ? '-' : '+',
                       std::abs(exponent));
  }
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  if (n <= exponent + 1) {
    return sign + digits + std::string(static_cast<std::size_t>(exponent + 1 - n), '0') + ".0";
  }
  const auto point = static_cast<std::size_t>(exponent + 1);
  return sign + digits.substr(0, point) + "." + digits.substr(point);
}

std::string int_repr(Int value) { return fmt::format("{}", value); }

void append_str(TextBuilder& out, const Value& value) {
  if (const Text* text = value.text()) {
    out.append(*text);
  } else if (!value.is<Undefined>()) {
    append_repr(out, value);
  }
}

void append_repr(TextBuilder& out, const Value& value) {
  if (const Text* text = value.text()) return append_repr_string(out, *text);
  if (const List* list = value.list()) return append_repr_list(out, *list);
  if (const Dict* dict = value.dict()) return append_repr_dict(out, *dict);
  if (const bool* b = value.get_if<bool>()) return out.append(*b ? "True" : "False", true);
  if (const Int* i = value.get_if<Int>()) return out.append(int_repr(*i), true);
  if (const double* d = value.get_if<double>()) return out.append(float_repr(*d), true);
  if (value.is<None>()) return out.append("None", true);
  if (value.is<Undefined>()) return out.append("Undefined", true);
  if (const auto* callable = value.get_if<CallablePtr>()) {
    out.append("<function ", true);
    out.append((*callable)->name(), true);
    return out.append(">", true);
  }
  out.append(value.is<LoopPtr>() ? "<loop>" : "<namespace>", true);
}

Text to_text(Context& context, const Value& value) {
  TextBuilder out(context);
  append_str(out, value);
  return out.take();
}

void append_json(TextBuilder& out, const Value& value, const JsonStyle& style) {
  JsonWriter(out, style).write(value);
}

}  // namespace foretoken::chat::jinja
