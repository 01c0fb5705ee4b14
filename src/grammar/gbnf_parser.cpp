// Recursive descent over GBNF text; nesting is bounded by kMaxNesting. See gbnf.h.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "grammar/gbnf.h"
#include "tokenizer/utf8.h"

namespace foretoken::grammar {
namespace {

constexpr int kMaxStackedRepeats = 4;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// llama.cpp's names have no underscore; allowing it harms nobody.
bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

class Parser {
 public:
  Parser(Rules& rules, std::string_view text, const GbnfOptions& options)
      : rules_(rules), text_(text), options_(options) {}

  void parse() {
    if (text_.size() > kMaxGrammarBytes) {
      throw RequestError(
          fmt::format("grammar: {} bytes; the limit is {}", text_.size(), kMaxGrammarBytes));
    }
    skip_space(true);
    while (!at_end()) parse_rule();
    for (const auto& [rule, pos] : uses_) {
      if (!rules_.is_defined(rule)) {
        fail_at(pos, fmt::format("rule '{}' is used but not defined", rules_.name(rule)));
      }
    }
  }

 private:
  // --- text

  bool at_end() const { return pos_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0';
  }
  bool take(char c) {
    if (at_end() || peek() != c) return false;
    ++pos_;
    return true;
  }

  [[noreturn]] void fail_at(std::size_t pos, const std::string& what) const {
    const std::string_view before = text_.substr(0, pos);
    const auto line = 1 + std::ranges::count(before, '\n');
    const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 == 0
    throw RequestError(
        fmt::format("grammar, line {}, column {}: {}", line, pos - line_begin + 1, what));
  }
  [[noreturn]] void fail(const std::string& what) const { fail_at(pos_, what); }
  std::string found() const {
    if (at_end()) return "the end";
    if (peek() == '\n') return "the end of the line";
    if (peek() < 0x20 || peek() == 0x7F) return fmt::format("byte {:#x}", peek());
    return fmt::format("'{}'", text_.substr(pos_, tokenizer::utf8_step(text_, pos_).length));
  }

  void skip_space(bool newlines) {
    while (!at_end()) {
      const char c = peek();
      if (c == '#') {
        while (!at_end() && peek() != '\n' && peek() != '\r') ++pos_;
      } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
        ++pos_;
      } else {
        return;
      }
    }
  }

  std::string_view take_name() {
    const std::size_t begin = pos_;
    while (!at_end() && is_name(peek())) ++pos_;
    if (pos_ == begin) fail("expected the name of a rule, found " + found());
    return text_.substr(begin, pos_ - begin);
  }

  std::uint32_t take_number() {
    if (!is_digit(peek())) fail("expected a number, found " + found());
    std::uint64_t value = 0;
    for (; is_digit(peek()); ++pos_) {
      value = std::min<std::uint64_t>(value * 10 + static_cast<std::uint64_t>(peek() - '0'),
                                      kUnbounded - 1);
    }
    return static_cast<std::uint32_t>(value);
  }

  // --- rules

  void parse_rule() {
    const std::string_view name = take_name();
    const RuleId rule = rules_.declare(name);
    skip_space(false);
    if (text_.substr(pos_, 3) != "::=") {
      fail(fmt::format("expected ::= behind '{}', found {}", name, found()));
    }
    pos_ += 3;
    skip_space(true);
    rules_.define(rule, parse_choice(0));
    if (!at_end() && peek() != '\n' && peek() != '\r') {
      fail("expected the end of the rule, found " + found());
    }
    skip_space(true);
  }

  ExprId parse_choice(int depth) {
    if (depth > kMaxNesting) {
      fail(fmt::format("groups nested deeper than {}", kMaxNesting));
    }
    std::vector<ExprId> options = {parse_sequence(depth)};
    while (take('|')) {
      skip_space(true);
      options.push_back(parse_sequence(depth));
    }
    return rules_.choice(std::move(options));
  }

  ExprId parse_sequence(int depth) {
    std::vector<ExprId> items;
    while (!at_end() && peek() != '|' && peek() != ')' && peek() != '\n' && peek() != '\r') {
      if (!is_repeat(peek())) {
        items.push_back(parse_item(depth));
      } else if (items.empty()) {
        fail(fmt::format("nothing stands before {} to be repeated", found()));
      } else {
        items.back() = parse_repeat(items.back(), depth);
      }
      skip_space(depth > 0);
    }
    return rules_.sequence(std::move(items));
  }

  static bool is_repeat(char c) { return c == '*' || c == '+' || c == '?' || c == '{'; }

  ExprId parse_item(int depth) {
    if (take('"')) return parse_literal();
    if (take('[')) return parse_class();
    if (take('.')) return rules_.char_class({{0, kLastChar}});
    if (take('(')) {
      skip_space(true);
      const ExprId group = parse_choice(depth + 1);
      if (!take(')')) fail("expected ) at the end of a group, found " + found());
      return group;
    }
    if (peek() == '<' || peek() == '!') return parse_token();
    if (!is_name(peek())) fail("unexpected " + found());
    const std::size_t begin = pos_;
    const RuleId rule = rules_.declare(take_name());
    uses_.emplace_back(rule, begin);
    return rules_.rule(rule);
  }

  ExprId parse_repeat(ExprId item, int depth) {
    // Each operator wraps what stands before it, so a run of them nests.
    if (++repeat_depth_ > kMaxStackedRepeats) fail("too many repetitions of repetitions");
    const std::size_t begin = pos_;
    const char c = text_[pos_++];
    std::uint32_t min = c == '+' ? 1 : 0;
    std::uint32_t max = c == '?' ? 1 : kUnbounded;
    if (c == '{') {
      skip_space(depth > 0);
      min = max = take_number();
      skip_space(depth > 0);
      if (take(',')) {
        skip_space(depth > 0);
        max = is_digit(peek()) ? take_number() : kUnbounded;
        skip_space(depth > 0);
      }
      if (!take('}')) fail("expected } at the end of a repetition, found " + found());
    }
    if (min > max) fail_at(begin, fmt::format("a repetition of {} to {} times", min, max));
    if (min > kMaxRepeat) {
      fail_at(begin,
              fmt::format("a repetition of at least {} times; the limit is {}", min, kMaxRepeat));
    }
    const ExprId repeated = rules_.repeat(item, min, max);
    skip_space(depth > 0);
    if (!is_repeat(peek())) repeat_depth_ = 0;
    return repeated;
  }

  // --- characters

  char32_t take_hex(int digits) {
    char32_t value = 0;
    for (int i = 0; i < digits; ++i, ++pos_) {
      const char c = peek();
      const int digit = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) {
        fail(fmt::format("expected {} hexadecimal digits, found {}", digits, found()));
      }
      value = value * 16 + static_cast<char32_t>(digit);
    }
    return value;
  }

  char32_t take_escape() {
    const std::size_t begin = pos_ - 1;
    const char c = peek();
    if (at_end()) fail("the grammar ends inside an escape");
    ++pos_;
    switch (c) {
      case 'x':
        return take_hex(2);
      case 'u':
        return take_hex(4);
      case 'U':
        return take_hex(8);
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'n':
        return '\n';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
        return static_cast<char32_t>(c);
      default:
        fail_at(begin, "unknown escape; known are \\x \\u \\U \\t \\r \\n \\\\ \\\" \\[ \\] \\-");
    }
  }

  char32_t take_char() {
    if (take('\\')) return take_escape();
    const tokenizer::Utf8Step step = tokenizer::utf8_step(text_, pos_);
    if (!step.valid) fail("the text is not UTF-8");
    pos_ += step.length;
    return step.code;
  }

  ExprId parse_literal() {
    const std::size_t begin = pos_ - 1;
    std::string bytes;
    while (!take('"')) {
      if (at_end()) fail_at(begin, "this text has no closing quote");
      const std::size_t at = pos_;
      const char32_t c = take_char();
      if (c > kLastChar || (c >= 0xD800 && c <= 0xDFFF)) fail_at(at, "not a Unicode character");
      tokenizer::append_utf8(bytes, c);
    }
    return rules_.literal(std::move(bytes));
  }

  ExprId parse_class() {
    const std::size_t begin = pos_ - 1;
    const bool negated = take('^');
    CharRanges ranges;
    while (!take(']')) {
      if (at_end()) fail_at(begin, "this character class has no closing bracket");
      const std::size_t at = pos_;
      CharRange range{take_char(), 0};
      range.last = range.first;
      if (peek() == '-' && peek(1) != ']' && pos_ + 1 < text_.size()) {
        ++pos_;
        range.last = take_char();
      }
      if (range.first > kLastChar) fail_at(at, "not a Unicode character");
      if (range.last < range.first) fail_at(at, "the range's end is before its beginning");
      ranges.push_back(range);
    }
    if (ranges.empty()) fail_at(begin, "an empty character class");
    ranges = normalized(std::move(ranges));
    return rules_.char_class(negated ? complement(ranges) : std::move(ranges));
  }

  // --- tokens

  ExprId parse_token() {
    const std::size_t begin = pos_;
    const bool negated = take('!');
    if (peek() != '<') fail("expected <token> behind !, found " + found());
    if (peek(1) == '[') {
      pos_ += 2;
      const std::uint32_t id = take_number();
      if (!take(']') || !take('>')) fail("expected ]> behind a token's id, found " + found());
      if (id >= static_cast<std::uint32_t>(std::max(options_.n_tokens, 0))) {
        fail_at(begin, fmt::format("token {} is outside the vocabulary of {} tokens", id,
                                   options_.n_tokens));
      }
      return rules_.token(static_cast<TokenId>(id), negated);
    }
    const std::size_t end = text_.find('>', pos_);
    if (end == std::string_view::npos) fail_at(begin, "this token has no closing >");
    const std::string_view spelling = text_.substr(pos_, end + 1 - pos_);
    const auto id = options_.find_token ? options_.find_token(spelling) : std::nullopt;
    if (!id) {
      fail_at(begin, fmt::format("{} is not one token of this vocabulary", spelling.substr(0, 80)));
    }
    pos_ = end + 1;
    return rules_.token(*id, negated);
  }

  Rules& rules_;
  std::string_view text_;
  const GbnfOptions& options_;
  std::size_t pos_ = 0;
  int repeat_depth_ = 0;
  std::vector<std::pair<RuleId, std::size_t>> uses_;
};

}  // namespace

void parse_gbnf(Rules& rules, std::string_view text, const GbnfOptions& options) {
  Parser(rules, text, options).parse();
}

RuleId require_root(Rules& rules) {
  const RuleId root = rules.declare("root");
  if (!rules.is_defined(root)) throw RequestError("grammar: there is no rule named 'root'");
  return root;
}

}  // namespace foretoken::grammar
