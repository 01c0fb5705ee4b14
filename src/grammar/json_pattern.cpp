// A regular expression as rules. The grammar's own operators say nearly all of it; what is left is
// reading ECMA-262's notation and escaping what stands inside JSON strings. See json_rules.h.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "grammar/json_rules.h"
#include "tokenizer/utf8.h"

namespace foretoken::grammar {
namespace {

constexpr std::size_t kMaxPatternBytes = 4096;
constexpr int kMaxGroups = 50;

const CharRanges kDigits = {{'0', '9'}};
const CharRanges kWords = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CharRanges kSpaces = {{'\t', '\r'}, {' ', ' '}, {0xA0, 0xA0}, {0x2028, 0x2029}};
const CharRanges kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

/// Thrown inside this file only: valid, but no grammar of ours says it.
struct Unsupported {};

class PatternReader {
 public:
  PatternReader(Rules& rules, std::string_view pattern, TextStyle style)
      : rules_(rules), text_(pattern), style_(style) {}

  ExprId read() {
    if (text_.size() > kMaxPatternBytes) fail("it is too long");
    // A search, as JSON Schema has it: what is not anchored may stand anywhere.
    const ExprId anything = rules_.star(chars(complement({})));
    const bool at_start = take('^');
    const bool at_end = ends_with_anchor();
    if (at_end) text_.remove_suffix(1);
    std::vector<ExprId> items;
    if (!at_start) items.push_back(anything);
    items.push_back(read_choice(0));
    if (pos_ < text_.size()) fail("a closing parenthesis without its opening one");
    if (!at_end) items.push_back(anything);
    // ^a|b$ anchors each side of the bar only once; that is not what the items say.
    if (outer_choice_ && (at_start || at_end)) throw Unsupported();
    return rules_.sequence(std::move(items));
  }

 private:
  [[noreturn]] void fail(std::string_view why) const {
    throw RequestError(
        fmt::format("pattern \"{}\" is not a regular expression: {}", text_.substr(0, 100), why));
  }
  char peek() const { return pos_ < text_.size() ? text_[pos_] : '\0'; }
  bool take(char c) {
    if (pos_ >= text_.size() || text_[pos_] != c) return false;
    ++pos_;
    return true;
  }

  bool ends_with_anchor() const {
    if (text_.size() <= pos_ || text_.back() != '$') return false;
    const std::size_t other = text_.find_last_not_of('\\', text_.size() - 2);
    const std::size_t n_backslashes =
        text_.size() - 2 - (other == std::string_view::npos ? std::size_t(-1) : other);
    return n_backslashes % 2 == 0;
  }

  ExprId read_choice(int depth) {
    if (depth > kMaxGroups) fail("groups nested too deep");
    std::vector<ExprId> options = {read_sequence(depth)};
    while (take('|')) {
      options.push_back(read_sequence(depth));
      if (depth == 0) outer_choice_ = true;
    }
    return rules_.choice(std::move(options));
  }

  ExprId read_sequence(int depth) {
    std::vector<ExprId> items;
    while (pos_ < text_.size() && peek() != '|' && peek() != ')') {
      const ExprId item = read_item(depth);
      items.push_back(read_repeats(item));
    }
    return rules_.sequence(std::move(items));
  }

  ExprId read_item(int depth) {
    if (take('(')) {
      if (take('?') && !take(':')) throw Unsupported();  // look-around, names, flags
      const ExprId group = read_choice(depth + 1);
      if (!take(')')) fail("a group is not closed");
      return group;
    }
    if (take('[')) return chars(read_class());
    if (take('.')) return chars(complement(kLineEnds));
    const char c = peek();
    if (c == '*' || c == '+' || c == '?') fail("nothing to repeat");
    if (c == '^' || c == '$') throw Unsupported();  // an anchor inside
    if (take('\\')) {
      if (peek() == 'b' || peek() == 'B') throw Unsupported();
      return chars(read_escape());
    }
    const char32_t code = take_char();
    return chars({{code, code}});
  }

  ExprId read_repeats(ExprId item) {
    std::uint32_t min = 0;
    std::uint32_t max = 0;
    if (!read_repeat(min, max)) return item;
    take('?');  // lazy: the same texts
    if (peek() == '*' || peek() == '+') fail("nothing to repeat");
    return rules_.repeat(item, min, max);
  }

  bool read_repeat(std::uint32_t& min, std::uint32_t& max) {
    if (take('*') || take('+')) {
      min = text_[pos_ - 1] == '+' ? 1 : 0;
      max = kUnbounded;
      return true;
    }
    if (take('?')) {
      max = 1;
      return true;
    }
    if (peek() != '{') return false;
    const std::size_t begin = pos_++;
    bool ok = read_number(min);
    max = min;
    if (ok && take(',')) max = peek() == '}' ? kUnbounded : (ok = read_number(max), max);
    if (!ok || !take('}')) {
      pos_ = begin;  // a brace that is no repetition stands for itself
      return false;
    }
    if (min > max) fail("a repetition's bounds are in the wrong order");
    return true;
  }

  bool read_number(std::uint32_t& value) {
    const std::size_t begin = pos_;
    value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++pos_) {
      value = std::min(value * 10 + static_cast<std::uint32_t>(peek() - '0'), kMaxRepeat + 1);
    }
    return pos_ > begin;
  }

  char32_t take_char() {
    const tokenizer::Utf8Step step = tokenizer::utf8_step(text_, pos_);
    if (!step.valid) fail("it is not UTF-8");
    pos_ += step.length;
    return step.code;
  }

  char32_t take_hex(int n_digits) {
    char32_t value = 0;
    for (int i = 0; i < n_digits; ++i, ++pos_) {
      const char c = peek();
      const std::string_view digits = "0123456789abcdef";
      const std::size_t digit = digits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
      if (c == '\0' || digit == std::string_view::npos) fail("bad hexadecimal digits");
      value = value * 16 + static_cast<char32_t>(digit);
    }
    return value;
  }

  /// Behind a backslash: the characters it stands for.
  CharRanges read_escape() {
    if (pos_ >= text_.size()) fail("it ends in a backslash");
    const char32_t c = take_char();
    const auto one = [](char32_t code) { return CharRanges{{code, code}}; };
    switch (c) {
      case 'd':
        return kDigits;
      case 'D':
        return complement(kDigits);
      case 'w':
        return kWords;
      case 'W':
        return complement(kWords);
      case 's':
        return kSpaces;
      case 'S':
        return complement(kSpaces);
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'x':
        return one(take_hex(2));
      case 'u':
        if (peek() == '{') throw Unsupported();
        return one(take_hex(4));
      default: {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (letter || (c >= '0' && c <= '9')) throw Unsupported();  // \1, \p, \k, \c
        return one(c);
      }
    }
  }

  CharRanges read_class() {
    const bool negated = take('^');
    CharRanges ranges;
    while (!take(']')) {
      if (pos_ >= text_.size()) fail("a character class is not closed");
      const CharRanges first = read_class_part();
      const bool is_range = first.size() == 1 && first[0].first == first[0].last && peek() == '-' &&
                            pos_ + 1 < text_.size() && text_[pos_ + 1] != ']';
      if (!is_range) {
        ranges.insert(ranges.end(), first.begin(), first.end());
        continue;
      }
      ++pos_;
      const CharRanges last = read_class_part();
      if (last.size() != 1 || last[0].first != last[0].last) throw Unsupported();
      if (last[0].first < first[0].first) fail("a range's end is before its beginning");
      ranges.push_back({first[0].first, last[0].first});
    }
    ranges = normalized(std::move(ranges));
    return negated ? complement(ranges) : ranges;
  }

  CharRanges read_class_part() {
    if (take('\\')) {
      if (take('b')) return {{'\b', '\b'}};
      return read_escape();
    }
    const char32_t c = take_char();
    return {{c, c}};
  }

  /// One of `ranges` as it stands in the text.
  ExprId chars(CharRanges ranges) {
    ranges = normalized(std::move(ranges));
    if (style_ == TextStyle::Plain) {
      // On one line, so that it cannot run into what ends the text.
      return rules_.char_class(intersection(ranges, complement({{'\n', '\n'}})));
    }
    static constexpr std::pair<char32_t, std::string_view> kEscapes[] = {
        {'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"}, {'\r', "\\r"},
        {'\t', "\\t"}, {'\b', "\\b"},  {'\f', "\\f"}};
    std::vector<ExprId> options;
    const CharRanges plain = intersection(ranges, json_plain_chars());
    if (!plain.empty()) options.push_back(rules_.char_class(plain));
    for (const auto& [code, spelling] : kEscapes) {
      if (!intersection(ranges, {{code, code}}).empty()) {
        options.push_back(rules_.literal(std::string(spelling)));
      }
    }
    // Other control characters have no short spelling; a class of nothing else matches nothing.
    if (options.empty()) return rules_.char_class({});
    return rules_.choice(std::move(options));
  }

  Rules& rules_;
  std::string_view text_;
  TextStyle style_;
  std::size_t pos_ = 0;
  bool outer_choice_ = false;
};

}  // namespace

std::optional<ExprId> pattern_text(Rules& rules, std::string_view pattern, TextStyle style) {
  try {
    return PatternReader(rules, pattern, style).read();
  } catch (const Unsupported&) {
    return std::nullopt;
  }
}

}  // namespace foretoken::grammar
