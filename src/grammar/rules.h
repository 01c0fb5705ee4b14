// A grammar as a tree: what the GBNF parser, the schema converter and the syntax of tool calls all
// produce, and what the printer and the compiler take.
//
// Expressions live in one array and name each other by index, so that a hostile grammar can nest
// nothing that a destructor would have to unwind. Characters are code points; how they look in
// UTF-8 is the compiler's business.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/token.h"

namespace foretoken::grammar {

/// Code points first..last, both included.
struct CharRange {
  char32_t first = 0;
  char32_t last = 0;

  bool operator==(const CharRange&) const = default;
};
using CharRanges = std::vector<CharRange>;  ///< sorted, disjoint, not touching

inline constexpr char32_t kLastChar = 0x10FFFF;

/// Sorts, joins and clips to what UTF-8 can spell (no surrogates, nothing above U+10FFFF).
CharRanges normalized(CharRanges ranges);
/// All characters that are not in `ranges` (normalized).
CharRanges complement(const CharRanges& ranges);
CharRanges intersection(const CharRanges& a, const CharRanges& b);

using ExprId = std::uint32_t;
using RuleId = std::uint32_t;

inline constexpr std::uint32_t kUnbounded = std::numeric_limits<std::uint32_t>::max();

/// Limits on one grammar, whatever it was made from. Beyond them RequestError, except for an upper
/// bound of a repetition: above kMaxRepeat that counts as none.
inline constexpr std::size_t kMaxGrammarBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxExprs = 100'000;
inline constexpr std::uint32_t kMaxRepeat = 1u << 16;
inline constexpr int kMaxNesting = 100;

struct Expr {
  enum class Kind {
    Literal,   ///< `text`, UTF-8; may be empty
    Class,     ///< one character of `ranges`
    Sequence,  ///< all children in order
    Choice,    ///< one of the children
    Repeat,    ///< the child, min to max times (kUnbounded: no end)
    Rule,      ///< rule `target`
    Token,     ///< the token `target`, or with `negated` any other that ends nothing
    Until,  ///< any bytes up to and including the first `text`, of which `min` bytes count as seen
    AnyOrder,  ///< children in any order, each at most once, the `required` ones exactly once
  };
  Kind kind = Kind::Literal;
  bool negated = false;
  std::string text;
  CharRanges ranges;
  std::vector<ExprId> children;
  std::vector<bool> required;
  std::uint32_t min = 0;
  std::uint32_t max = 0;
  std::uint32_t target = 0;
};

/// Rules and their expressions. All makers throw RequestError beyond kMaxExprs.
class Rules {
 public:
  ExprId literal(std::string text);
  /// Ranges need not be normalized.
  ExprId char_class(CharRanges ranges);
  ExprId sequence(std::vector<ExprId> children);
  ExprId choice(std::vector<ExprId> children);
  ExprId repeat(ExprId child, std::uint32_t min, std::uint32_t max);
  ExprId optional(ExprId child) { return repeat(child, 0, 1); }
  ExprId star(ExprId child) { return repeat(child, 0, kUnbounded); }
  ExprId rule(RuleId rule);
  ExprId token(TokenId id, bool negated);
  /// Requires seen < delimiter.size().
  ExprId until(std::string delimiter, std::uint32_t seen);
  ExprId any_order(std::vector<ExprId> items, std::vector<bool> required);

  /// The rule of that name, made (and not yet defined) when it is new.
  RuleId declare(std::string_view name);
  /// A new rule with a name made from `name`.
  RuleId declare_new(std::string_view name);
  void define(RuleId rule, ExprId body) { bodies_[rule] = static_cast<std::int64_t>(body); }
  bool is_defined(RuleId rule) const { return bodies_[rule] >= 0; }

  /// A point to which rewind() goes back: what was made since then is forgotten.
  struct Mark {
    std::size_t n_exprs = 0;
    std::size_t n_rules = 0;
  };
  Mark mark() const { return {exprs_.size(), bodies_.size()}; }
  void rewind(const Mark& mark);

  std::size_t n_rules() const { return bodies_.size(); }
  std::size_t n_exprs() const { return exprs_.size(); }
  const std::string& name(RuleId rule) const { return names_[rule]; }
  /// Requires is_defined.
  ExprId body(RuleId rule) const { return static_cast<ExprId>(bodies_[rule]); }
  const Expr& operator[](ExprId id) const { return exprs_[id]; }

 private:
  ExprId add(Expr expr);

  std::vector<Expr> exprs_;
  std::vector<std::string> names_;
  std::vector<std::int64_t> bodies_;  // -1: not defined
  std::unordered_map<std::string, RuleId> ids_;
};

/// Throws RequestError when a rule can call itself before anything is matched (left recursion),
/// naming it. Every declared rule must be defined.
void refuse_left_recursion(const Rules& rules);

}  // namespace foretoken::grammar
