// The parser has accepted the text before the scanner below walks it, so the scanner needs to know
// strings and brackets only. The result is parsed again and compared: the scanner cannot be wrong
// unnoticed.
#include "convert/json_edit.h"

#include <fmt/format.h>

#include <cassert>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "convert/json_node.h"

namespace foretoken::convert {
namespace {

/// Walks well-formed JSON.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::size_t position() const { return at_; }
  char next() const { return text_[at_]; }
  void move_to(std::size_t position) { at_ = position; }
  void advance() { ++at_; }

  void skip_space() { at_ = text_.find_first_not_of(" \t\r\n", at_); }

  /// The string that starts here, without its quotes and with its escapes.
  std::string_view take_string() {
    const std::size_t begin = ++at_;
    while (text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    return text_.substr(begin, at_++ - begin);
  }

  void skip_value() {
    int depth = 0;
    do {
      const char c = next();
      if (c == '"') {
        take_string();
      } else if (c == '{' || c == '[') {
        ++depth;
        advance();
      } else if (c == '}' || c == ']') {
        --depth;
        advance();
      } else if (depth > 0) {
        advance();
      } else {
        at_ = text_.find_first_of(",}] \t\r\n", at_);  // a number or a word
      }
    } while (depth > 0);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// What an edit of an object needs to know.
struct ObjectMap {
  std::size_t open = 0;      ///< behind its brace
  Span first_space;          ///< in front of the first member
  std::size_t last_end = 0;  ///< behind the last member's value
  bool empty = true;
  std::optional<Span> value;  ///< of the member looked for
};

/// Walks the object whose brace is at `begin`.
ObjectMap map_object(std::string_view text, std::size_t begin, std::string_view key) {
  assert(text[begin] == '{');
  ObjectMap out;
  Scanner scanner(text);
  scanner.move_to(begin + 1);
  out.open = begin + 1;
  for (;;) {
    const std::size_t space = scanner.position();
    scanner.skip_space();
    if (scanner.next() == '}') return out;
    if (scanner.next() == ',') {
      scanner.advance();
      continue;
    }
    if (out.empty) out.first_space = {space, scanner.position()};
    out.empty = false;
    const std::string_view name = scanner.take_string();
    scanner.skip_space();
    scanner.advance();  // the colon
    scanner.skip_space();
    const std::size_t value = scanner.position();
    scanner.skip_value();
    out.last_end = scanner.position();
    // Of a member given twice parsers take the last.
    if (name == key) out.value = Span{value, out.last_end};
  }
}

}  // namespace

std::string set_json_member(std::string_view text, std::string_view object, std::string_view key,
                            std::string_view value, const std::string& file) {
  nlohmann::ordered_json wanted = parse_json_object(text, file);
  nlohmann::ordered_json* target = &wanted;
  std::size_t begin = text.find('{');
  if (!object.empty()) {
    const auto member = wanted.find(std::string(object));
    const auto place = map_object(text, begin, object).value;
    if (member == wanted.end() || !member->is_object() || !place) {
      throw FormatError(
          fmt::format("{}: no object {}; expected a model's config", file, quoted(object)));
    }
    target = &*member;
    begin = place->begin;
  }
  const ObjectMap map = map_object(text, begin, key);
  std::string out(text);
  if (map.value) {
    out.replace(map.value->begin, map.value->end - map.value->begin, value);
  } else {
    const std::string_view indent =
        text.substr(map.first_space.begin, map.first_space.end - map.first_space.begin);
    const std::size_t place = map.empty ? map.open : map.last_end;
    out.insert(place, fmt::format("{}{}\"{}\": {}", map.empty ? "" : ",", indent, key, value));
  }
  // A name spelled with escapes is seen by the parser only; appending another would make two.
  const bool missed = !map.value && target->contains(std::string(key));
  (*target)[std::string(key)] = nlohmann::ordered_json::parse(value);
  if (missed || parse_json_object(out, file) != wanted) {
    throw FormatError(
        fmt::format("{}: cannot set {}: the text is written in a way that was not "
                    "understood; set it by hand",
                    file, quoted(key)));
  }
  return out;
}

}  // namespace foretoken::convert
