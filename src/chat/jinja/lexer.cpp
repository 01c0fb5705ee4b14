// See lexer.h.
#include "chat/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "chat/jinja/unicode.h"

namespace foretoken::chat::jinja {
namespace {

// Longest first, so that the first match is the right one.
constexpr std::array<std::string_view, 26> kOperators = {
    "==", "!=", "<=", ">=", "**", "//", "+", "-", "*", "/", "%", "~", "<",
    ">",  "=",  ".",  ":",  "|",  ",",  "(", ")", "[", "]", "{", "}", ";"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// One newline convention, and without the newline at the very end.
std::string normalise_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      out.push_back('\n');
    } else {
      out.push_back(source[i]);
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) lex_text();
    push(TokenKind::End, "", at_);
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(std::size_t offset, const std::string& message) {
    throw TemplateError(TemplateError::Cause::Syntax, position(offset), message);
  }

  // Offsets are asked for in growing order nearly always; then this is linear in all.
  Position position(std::size_t offset) {
    if (offset < counted_) {
      counted_ = 0;
      here_ = {};
    }
    for (; counted_ < offset && counted_ < source_.size(); ++counted_) {
      if (source_[counted_] == '\n') {
        ++here_.line;
        here_.column = 1;
      } else {
        ++here_.column;
      }
    }
    return here_;
  }

  void push(TokenKind kind, std::string text, std::size_t offset) {
    tokens_.push_back({kind, std::move(text), position(offset)});
  }

  bool looking_at(std::string_view what, std::size_t offset) const {
    return source_.substr(offset, what.size()) == what;
  }

  static std::optional<char> tag_kind(char c) {
    return c == '{' || c == '%' || c == '#' ? std::optional(c) : std::nullopt;
  }

  /// Everything up to the next tag, then that tag.
  void lex_text() {
    const std::size_t begin = at_;
    std::size_t tag = source_.find('{', begin);
    while (tag != std::string_view::npos &&
           (tag + 1 >= source_.size() || !tag_kind(source_[tag + 1]))) {
      tag = source_.find('{', tag + 1);
    }
    if (tag == std::string_view::npos) {
      push_text(begin, source_.size());
      at_ = source_.size();
      return;
    }
    const char kind = source_[tag + 1];
    std::size_t inside = tag + 2;
    char control = 0;
    if (inside < source_.size() && (source_[inside] == '-' || source_[inside] == '+')) {
      control = source_[inside++];
    }
    push_text(begin, text_end(begin, tag, kind, control));
    at_ = inside;
    if (kind == '#') {
      skip_comment(tag);
    } else if (kind == '%' && at_raw_tag()) {
      lex_raw(tag);
    } else {
      push(kind == '{' ? TokenKind::PrintBegin : TokenKind::BlockBegin, "", tag);
      lex_tag(tag, kind == '{' ? "}}" : "%}");
    }
  }

  /// Where the text before a tag ends, once blanks are taken off as the tag demands.
  std::size_t text_end(std::size_t begin, std::size_t tag, char kind, char control) const {
    const std::string_view text = source_.substr(begin, tag - begin);
    if (control == '-') return begin + trim_range(text, Ends::Right, {}, true).end;
    if (control == '+' || kind == '{') return tag;
    const std::size_t newline = text.rfind('\n');
    if (newline == std::string_view::npos && !line_starting_) return tag;
    const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    const Range blanks = trim_range(text.substr(line), Ends::Left, {}, true);
    return blanks.begin == blanks.end ? begin + line : tag;
  }

  void push_text(std::size_t begin, std::size_t end) {
    if (begin < end) push(TokenKind::Text, std::string(source_.substr(begin, end - begin)), begin);
  }

  /// Called behind a closing mark: removes what trim_blocks or '-' remove.
  void after_tag(char control, bool trims_newline) {
    const std::size_t before = at_;
    if (control == '-') {
      at_ += trim_range(source_.substr(at_), Ends::Left, {}, true).begin;
    } else if (trims_newline && control != '+' && looking_at("\n", at_)) {
      ++at_;
    }
    line_starting_ = at_ > before && source_[at_ - 1] == '\n';
  }

  void skip_comment(std::size_t tag) {
    const std::size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) fail(tag, "this comment is never closed with '#}'");
    const char last = end > at_ ? source_[end - 1] : '\0';
    at_ = end + 2;
    after_tag(last == '-' || last == '+' ? last : '\0', true);
  }

  std::size_t skip_space(std::size_t offset) const {
    return offset + trim_range(source_.substr(offset), Ends::Left, {}, true).begin;
  }

  /// Reads `name -%}` at `offset`; the control character and the end, or nothing.
  struct SimpleTag {
    char control;
    std::size_t end;
  };
  std::optional<SimpleTag> simple_tag(std::size_t offset, std::string_view name) const {
    offset = skip_space(offset);
    if (!looking_at(name, offset)) return std::nullopt;
    offset = skip_space(offset + name.size());
    char control = 0;
    if (looking_at("-", offset) || looking_at("+", offset)) control = source_[offset++];
    if (!looking_at("%}", offset)) return std::nullopt;
    return SimpleTag{control, offset + 2};
  }
  bool at_raw_tag() const { return simple_tag(at_, "raw").has_value(); }

  void lex_raw(std::size_t tag) {
    const SimpleTag open = *simple_tag(at_, "raw");
    at_ = open.end;
    after_tag(open.control, false);
    const std::size_t begin = at_;
    for (std::size_t end = source_.find("{%", begin); end != std::string_view::npos;
         end = source_.find("{%", end + 2)) {
      std::size_t inside = end + 2;
      char control = 0;
      if (looking_at("-", inside) || looking_at("+", inside)) control = source_[inside++];
      const auto close = simple_tag(inside, "endraw");
      if (!close) continue;
      push_text(begin, text_end(begin, end, '%', control));
      at_ = close->end;
      after_tag(close->control, true);
      return;
    }
    fail(tag, "this raw block is never closed with {% endraw %}");
  }

  /// The tokens between the marks of one tag.
  void lex_tag(std::size_t tag, std::string_view closing) {
    std::string open_brackets;
    while (true) {
      at_ = skip_space(at_);
      if (at_ >= source_.size()) {
        fail(tag, "this tag is never closed with '" + std::string(closing) + "'");
      }
      if (open_brackets.empty() && lex_tag_end(closing)) return;
      const char c = source_[at_];
      if (is_name_start(c)) {
        lex_name();
      } else if (is_digit(c)) {
        lex_number();
      } else if (c == '"' || c == '\'') {
        lex_string(c);
      } else {
        lex_operator(open_brackets);
      }
    }
  }

  bool lex_tag_end(std::string_view closing) {
    const char first = source_[at_];
    const bool block = closing == "%}";
    const char control = first == '-' || (first == '+' && block) ? first : '\0';
    const std::size_t mark = at_ + (control != 0 ? 1 : 0);
    if (!looking_at(closing, mark)) return false;
    push(block ? TokenKind::BlockEnd : TokenKind::PrintEnd, "", at_);
    at_ = mark + 2;
    after_tag(control, block);
    return true;
  }

  void lex_name() {
    const std::size_t begin = at_;
    while (at_ < source_.size() && (is_name_start(source_[at_]) || is_digit(source_[at_]))) ++at_;
    push(TokenKind::Name, std::string(source_.substr(begin, at_ - begin)), begin);
  }

  std::string take_digits() {
    std::string digits;
    while (at_ < source_.size() && (is_digit(source_[at_]) || source_[at_] == '_')) {
      if (source_[at_] != '_') digits.push_back(source_[at_]);
      ++at_;
    }
    return digits;
  }

  void lex_number() {
    const std::size_t begin = at_;
    std::string text = take_digits();
    TokenKind kind = TokenKind::Integer;
    if (at_ + 1 < source_.size() && source_[at_] == '.' && is_digit(source_[at_ + 1])) {
      kind = TokenKind::Float;
      ++at_;
      text += "." + take_digits();
    }
    if (at_ < source_.size() && (source_[at_] == 'e' || source_[at_] == 'E')) {
      std::size_t digits = at_ + 1;
      const bool sign = looking_at("+", digits) || looking_at("-", digits);
      if (sign) ++digits;
      if (digits < source_.size() && is_digit(source_[digits])) {
        kind = TokenKind::Float;
        text += sign && source_[digits - 1] == '-' ? "e-" : "e";
        at_ = digits;
        text += take_digits();
      }
    }
    push(kind, std::move(text), begin);
  }

  void lex_string(char quote) {
    const std::size_t begin = at_++;
    std::string value;
    while (true) {
      if (at_ >= source_.size()) fail(begin, "this string is never closed");
      const char c = source_[at_++];
      if (c == quote) break;
      if (c == '\\' && at_ < source_.size()) {
        lex_escape(value);
      } else {
        value.push_back(c);
      }
    }
    push(TokenKind::String, std::move(value), begin);
  }

  // Python's escapes; an unknown one stands for itself, backslash included.
  void lex_escape(std::string& value) {
    const std::size_t begin = at_ - 1;
    const char c = source_[at_++];
    switch (c) {
      case 'n':
        return value.push_back('\n');
      case 't':
        return value.push_back('\t');
      case 'r':
        return value.push_back('\r');
      case 'b':
        return value.push_back('\b');
      case 'f':
        return value.push_back('\f');
      case 'v':
        return value.push_back('\v');
      case 'a':
        return value.push_back('\a');
      case '\n':
        return;
      case '\\':
      case '\'':
      case '"':
        return value.push_back(c);
      case '0':
        return value.push_back('\0');
      case 'x':
        return lex_code(begin, 2, value);
      case 'u':
        return lex_code(begin, 4, value);
      case 'U':
        return lex_code(begin, 8, value);
      default:
        value.push_back('\\');
        value.push_back(c);
    }
  }

  void lex_code(std::size_t begin, std::size_t n_digits, std::string& value) {
    char32_t code = 0;
    for (std::size_t i = 0; i < n_digits; ++i) {
      const char c = at_ < source_.size() ? source_[at_] : '\0';
      const char lower = static_cast<char>(c | 0x20);
      if (!is_digit(c) && (lower < 'a' || lower > 'f')) {
        fail(begin, "this escape needs " + std::to_string(n_digits) + " hexadecimal digits");
      }
      code = code * 16 + static_cast<char32_t>(is_digit(c) ? c - '0' : lower - 'a' + 10);
      ++at_;
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
      fail(begin, "this escape names no Unicode character");
    }
    encode(code, value);
  }

  void lex_operator(std::string& open_brackets) {
    const auto found = std::find_if(kOperators.begin(), kOperators.end(),
                                    [&](std::string_view op) { return looking_at(op, at_); });
    if (found == kOperators.end()) {
      fail(at_, "unexpected character '" +
                    std::string(source_.substr(at_, decode(source_, at_).size)) + "'");
    }
    const std::string_view opening = "([{";
    const std::string_view closing = ")]}";
    const char c = found->front();
    if (opening.find(c) != std::string_view::npos) {
      open_brackets.push_back(c);
    } else if (const auto i = closing.find(c); i != std::string_view::npos) {
      if (open_brackets.empty() || open_brackets.back() != opening[i]) {
        fail(at_, "unexpected '" + std::string(*found) + "'");
      }
      open_brackets.pop_back();
    }
    push(TokenKind::Operator, std::string(*found), at_);
    at_ += found->size();
  }

  std::string_view source_;
  std::size_t at_ = 0;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
  std::size_t counted_ = 0;
  Position here_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  const std::string text = normalise_newlines(source);
  return Lexer(text).run();
}

}  // namespace foretoken::chat::jinja
