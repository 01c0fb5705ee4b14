// See json_rules.h; patterns are in json_pattern.cpp.
#include "grammar/json_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "grammar/gbnf.h"
#include "tokenizer/utf8.h"

namespace foretoken::grammar {
namespace {

// White space is what people and programs really write: nothing, a blank, or a line break with some
// indentation (llama.cpp allows the same). More would let a model write blanks for ever. Numbers
// have bounded digits for the same reason. \u spells surrogates in pairs only.
constexpr std::string_view kJsonRules = R"(
space ::= | " " | "\n"{1,2} [ \t]{0,20}
hex ::= [0-9a-fA-F]
char ::= [^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" unit)
unit ::= [0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2} | [dD] [89abAB] hex{2} "\\u" [dD] [c-fC-F] hex{2}
string ::= "\"" string-rest
string-rest ::= char* "\""
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
number ::= integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?
boolean ::= "true" | "false"
null ::= "null"
value ::= object | array | string | number | boolean | null
object ::= "{" space (member ("," space member)*)? space "}"
member ::= string space ":" space value
array ::= "[" space (value ("," space value)*)? space "]"
date ::= [0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])
clock ::= ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]
time ::= clock ":" [0-5] [0-9] ("." [0-9]{1,9})? ("Z" | [-+] clock)
date-time ::= date "T" time
uuid ::= hex{8} ("-" hex{4}){3} "-" hex{12}
)";

constexpr std::size_t kMaxFreeDigits = 16;

/// Integers as their digits: all decimal numbers between two of them.
class IntegerRange {
 public:
  explicit IntegerRange(Rules& rules) : rules_(rules) {}

  /// lo <= hi, neither negative; hi absent: no bound.
  void add_positive(std::vector<ExprId>& options, std::uint64_t lo,
                    std::optional<std::uint64_t> hi) {
    std::string from = std::to_string(lo);
    const std::string to = hi ? std::to_string(*hi) : std::string(from.size(), '9');
    for (; from.size() < to.size(); from = "1" + std::string(from.size(), '0')) {
      options.push_back(between(from, std::string(from.size(), '9')));
    }
    options.push_back(between(from, to));
    if (hi) return;
    const std::size_t longest = std::max(kMaxFreeDigits, from.size() + 1);
    options.push_back(
        rules_.sequence({rules_.char_class({{'1', '9'}}), digits(from.size(), longest - 1)}));
  }

 private:
  ExprId digits(std::size_t min, std::size_t max) {
    return rules_.repeat(rules_.char_class({{'0', '9'}}), static_cast<std::uint32_t>(min),
                         static_cast<std::uint32_t>(max));
  }

  /// All texts of digits from `from` to `to`, which are equally long.
  ExprId between(std::string_view from, std::string_view to) {
    if (from.empty()) return rules_.literal("");
    if (from.find_first_not_of('0') == std::string_view::npos &&
        to.find_first_not_of('9') == std::string_view::npos) {
      return digits(from.size(), from.size());
    }
    const std::string_view from_rest = from.substr(1);
    const std::string_view to_rest = to.substr(1);
    const std::string zeros(from_rest.size(), '0');
    const std::string nines(from_rest.size(), '9');
    const auto digit = [](char c) { return static_cast<char32_t>(c); };
    if (from[0] == to[0]) {
      return rules_.sequence({rules_.literal({from[0]}), between(from_rest, to_rest)});
    }
    // The first digit at its lowest, at its highest, and anything between, where the rest is free.
    char32_t low = digit(from[0]);
    char32_t high = digit(to[0]);
    std::vector<ExprId> options;
    if (from_rest != zeros) {
      options.push_back(rules_.sequence({rules_.literal({from[0]}), between(from_rest, nines)}));
      ++low;
    }
    if (to_rest != nines) {
      options.push_back(rules_.sequence({rules_.literal({to[0]}), between(zeros, to_rest)}));
      --high;
    }
    if (low <= high) {
      const ExprId any = digits(from_rest.size(), from_rest.size());
      options.push_back(rules_.sequence({rules_.char_class({{low, high}}), any}));
    }
    return rules_.choice(std::move(options));
  }

  Rules& rules_;
};

std::uint64_t magnitude(std::int64_t value) {
  return value < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(value)
                   : static_cast<std::uint64_t>(value);
}

}  // namespace

const CharRanges& json_plain_chars() {
  static const CharRanges kPlain = complement({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}});
  return kPlain;
}

void add_json_rules(Rules& rules) { parse_gbnf(rules, kJsonRules); }

ExprId integer_range(Rules& rules, std::optional<std::int64_t> min,
                     std::optional<std::int64_t> max) {
  IntegerRange range(rules);
  std::vector<ExprId> options;
  if (!max || *max >= 0) {
    range.add_positive(options, min && *min > 0 ? magnitude(*min) : 0,
                       max ? std::optional(magnitude(*max)) : std::nullopt);
  }
  if (!min || *min < 0) {
    std::vector<ExprId> negative;
    range.add_positive(negative, max && *max < 0 ? magnitude(*max) : 1,
                       min ? std::optional(magnitude(*min)) : std::nullopt);
    options.push_back(rules.sequence({rules.literal("-"), rules.choice(std::move(negative))}));
  }
  return rules.choice(std::move(options));
}

namespace {

/// Names as a tree of their characters.
struct NameNode {
  std::map<char32_t, NameNode> children;
  bool is_name = false;
};

/// The rest of a string, quote included, such that the whole is no name in the tree.
ExprId rest_other_than(Rules& rules, const NameNode& node) {
  const ExprId free_rest = rules.rule(rules.declare("string-rest"));
  CharRanges apart;
  std::vector<ExprId> options;
  for (const auto& [c, child] : node.children) {
    apart.push_back({c, c});
    std::string spelling;
    tokenizer::append_utf8(spelling, c);
    // Characters that JSON escapes are followed nowhere: such names are left to the caller.
    const RuleId below = rules.declare_new("other-key");
    rules.define(below, rest_other_than(rules, child));
    options.push_back(rules.sequence({rules.literal(spelling), rules.rule(below)}));
  }
  const ExprId other =
      rules.char_class(intersection(complement(normalized(std::move(apart))), json_plain_chars()));
  options.push_back(rules.sequence({other, free_rest}));
  if (!node.is_name) options.push_back(rules.literal("\""));
  return rules.choice(std::move(options));
}

}  // namespace

ExprId string_other_than(Rules& rules, const std::vector<std::string>& names) {
  NameNode root;
  // Names are told apart within their first characters; who agrees in more is refused with them.
  constexpr std::size_t kMaxChars = 64;
  for (const std::string& name : names) {
    NameNode* at = &root;
    std::size_t n_chars = 0;
    for (std::size_t pos = 0; pos < name.size() && n_chars < kMaxChars; ++n_chars) {
      const tokenizer::Utf8Step step = tokenizer::utf8_step(name, pos);
      const bool escaped = !step.valid || step.code < 0x20 || step.code == 0x7F ||
                           step.code == '"' || step.code == '\\';
      if (escaped) break;  // from here on the tree offers no such character anyway
      at = &at->children[step.code];
      pos += step.length;
    }
    at->is_name = true;
  }
  return rules.sequence({rules.literal("\""), rest_other_than(rules, root)});
}

}  // namespace foretoken::grammar
