// Rules as GBNF text. What it writes, parse_gbnf reads back to the same language. See gbnf.h.
#include <fmt/format.h>

#include <cassert>

#include "base/error.h"
#include "grammar/gbnf.h"
#include "tokenizer/utf8.h"

namespace foretoken::grammar {
namespace {

/// How tightly an expression must hold together where it stands.
enum class Place { Alone, InSequence, Repeated };

class Printer {
 public:
  explicit Printer(const Rules& rules) : rules_(rules), is_needed_(rules.n_rules(), false) {}

  std::string print(RuleId root) {
    need(root);
    for (std::size_t i = 0; i < needed_.size(); ++i) {
      out_ += rules_.name(needed_[i]) + " ::= ";
      write(rules_.body(needed_[i]), Place::Alone);
      out_ += '\n';
      if (out_.size() > kMaxGrammarBytes) {
        throw RequestError(fmt::format("the grammar needs more than {} bytes; simplify the schema",
                                       kMaxGrammarBytes));
      }
    }
    return std::move(out_);
  }

 private:
  void need(RuleId rule) {
    if (is_needed_[rule]) return;
    is_needed_[rule] = true;
    needed_.push_back(rule);
  }

  void write(ExprId id, Place place) {
    const Expr& expr = rules_[id];
    switch (expr.kind) {
      case Expr::Kind::Literal:
        return write_literal(expr.text);
      case Expr::Kind::Class:
        return write_class(expr.ranges);
      case Expr::Kind::Sequence:
        return write_list(expr.children, " ", place == Place::Repeated, Place::InSequence);
      case Expr::Kind::Choice:
        return write_list(expr.children, " | ", place != Place::Alone, Place::InSequence);
      case Expr::Kind::Repeat:
        return write_repeat(expr, place);
      case Expr::Kind::Rule:
        out_ += rules_.name(expr.target);
        return need(expr.target);
      case Expr::Kind::Token:
        out_ += fmt::format("{}<[{}]>", expr.negated ? "!" : "", expr.target);
        return;
      case Expr::Kind::Until:
      case Expr::Kind::AnyOrder:
        assert(false && "only tool calls use these, and they are not printed");
    }
  }

  void write_list(const std::vector<ExprId>& children, std::string_view between, bool in_group,
                  Place place) {
    if (children.empty()) {
      out_ += "\"\"";
      return;
    }
    if (in_group) out_ += '(';
    for (std::size_t i = 0; i < children.size(); ++i) {
      if (i > 0) out_ += between;
      write(children[i], place);
    }
    if (in_group) out_ += ')';
  }

  void write_repeat(const Expr& expr, Place place) {
    if (place == Place::Repeated) out_ += '(';
    write(expr.children[0], Place::Repeated);
    if (expr.max == kUnbounded && expr.min <= 1) {
      out_ += expr.min == 0 ? '*' : '+';
    } else if (expr.max == 1 && expr.min == 0) {
      out_ += '?';
    } else if (expr.max == kUnbounded) {
      out_ += fmt::format("{{{},}}", expr.min);
    } else if (expr.max == expr.min) {
      out_ += fmt::format("{{{}}}", expr.min);
    } else {
      out_ += fmt::format("{{{},{}}}", expr.min, expr.max);
    }
    if (place == Place::Repeated) out_ += ')';
  }

  void write_char(char32_t c, std::string_view special) {
    if (c == '\n') {
      out_ += "\\n";
    } else if (c == '\r') {
      out_ += "\\r";
    } else if (c == '\t') {
      out_ += "\\t";
    } else if (c < 0x20 || c == 0x7F) {
      out_ += fmt::format("\\x{:02X}", static_cast<unsigned>(c));
    } else if (c < 0x80) {
      if (special.find(static_cast<char>(c)) != std::string_view::npos) out_ += '\\';
      out_ += static_cast<char>(c);
    } else if (c >= 0x10000) {
      out_ += fmt::format("\\U{:08X}", static_cast<unsigned>(c));
    } else {
      tokenizer::append_utf8(out_, c);
    }
  }

  void write_class_char(char32_t c) {
    if (c == '^') {  // has no escape, and negates at the front
      out_ += "\\x5E";
    } else {
      write_char(c, "\\[]-\"");
    }
  }

  void write_literal(std::string_view text) {
    out_ += '"';
    for (std::size_t pos = 0; pos < text.size();) {
      const tokenizer::Utf8Step step = tokenizer::utf8_step(text, pos);
      assert(step.valid && "literals are UTF-8");
      write_char(step.code, "\"\\");
      pos += step.length;
    }
    out_ += '"';
  }

  void write_class(const CharRanges& ranges) {
    // Open-ended classes are shorter negated. GBNF has no empty class; none is what all is not.
    const bool negated = ranges.empty() || ranges.back().last == kLastChar;
    const CharRanges& written = negated ? complement(ranges) : ranges;
    if (written.empty()) {
      out_ += '.';
      return;
    }
    out_ += negated ? "[^" : "[";
    for (const CharRange& range : written) {
      write_class_char(range.first);
      if (range.last == range.first) continue;
      if (range.last > range.first + 1) out_ += '-';
      write_class_char(range.last);
    }
    out_ += ']';
  }

  const Rules& rules_;
  std::vector<bool> is_needed_;
  std::vector<RuleId> needed_;  // in the order of their lines
  std::string out_;
};

}  // namespace

std::string to_gbnf(const Rules& rules, RuleId root) { return Printer(rules).print(root); }

}  // namespace foretoken::grammar
