// See rules.h.
#include "grammar/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace foretoken::grammar {
namespace {

constexpr CharRange kSurrogates{0xD800, 0xDFFF};

}  // namespace

CharRanges normalized(CharRanges ranges) {
  std::erase_if(ranges, [](const CharRange& r) { return r.first > r.last || r.first > kLastChar; });
  std::ranges::sort(ranges, {}, &CharRange::first);
  CharRanges joined;
  for (CharRange range : ranges) {
    range.last = std::min(range.last, kLastChar);
    if (!joined.empty() && range.first <= joined.back().last + 1) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  return intersection(joined, {{0, kSurrogates.first - 1}, {kSurrogates.last + 1, kLastChar}});
}

CharRanges complement(const CharRanges& ranges) {
  CharRanges rest;
  char32_t next = 0;
  for (const CharRange& range : ranges) {
    if (range.first > next) rest.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastChar) rest.push_back({next, kLastChar});
  return normalized(std::move(rest));
}

CharRanges intersection(const CharRanges& a, const CharRanges& b) {
  CharRanges common;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const CharRange both{std::max(a[i].first, b[j].first), std::min(a[i].last, b[j].last)};
    if (both.first <= both.last) common.push_back(both);
    if (a[i].last < b[j].last) {
      ++i;
    } else {
      ++j;
    }
  }
  return common;
}

ExprId Rules::add(Expr expr) {
  if (exprs_.size() >= kMaxExprs) {
    throw RequestError(
        fmt::format("the grammar is too large: more than {} parts; simplify it", kMaxExprs));
  }
  exprs_.push_back(std::move(expr));
  return static_cast<ExprId>(exprs_.size() - 1);
}

ExprId Rules::literal(std::string text) {
  Expr expr;
  expr.text = std::move(text);
  return add(std::move(expr));
}

ExprId Rules::char_class(CharRanges ranges) {
  Expr expr;
  expr.kind = Expr::Kind::Class;
  expr.ranges = normalized(std::move(ranges));
  return add(std::move(expr));
}

ExprId Rules::sequence(std::vector<ExprId> children) {
  if (children.size() == 1) return children.front();
  Expr expr;
  expr.kind = Expr::Kind::Sequence;
  expr.children = std::move(children);
  return add(std::move(expr));
}

ExprId Rules::choice(std::vector<ExprId> children) {
  if (children.size() == 1) return children.front();
  Expr expr;
  expr.kind = Expr::Kind::Choice;
  expr.children = std::move(children);
  return add(std::move(expr));
}

ExprId Rules::repeat(ExprId child, std::uint32_t min, std::uint32_t max) {
  if (min > kMaxRepeat) {
    throw RequestError(
        fmt::format("a repetition of at least {} times; the limit is {}", min, kMaxRepeat));
  }
  Expr expr;
  expr.kind = Expr::Kind::Repeat;
  expr.children = {child};
  expr.min = min;
  expr.max = max > kMaxRepeat ? kUnbounded : max;
  return add(std::move(expr));
}

ExprId Rules::rule(RuleId rule) {
  Expr expr;
  expr.kind = Expr::Kind::Rule;
  expr.target = rule;
  return add(std::move(expr));
}

ExprId Rules::token(TokenId id, bool negated) {
  Expr expr;
  expr.kind = Expr::Kind::Token;
  expr.target = static_cast<std::uint32_t>(id);
  expr.negated = negated;
  return add(std::move(expr));
}

ExprId Rules::until(std::string delimiter, std::uint32_t seen) {
  Expr expr;
  expr.kind = Expr::Kind::Until;
  expr.text = std::move(delimiter);
  expr.min = seen;
  return add(std::move(expr));
}

ExprId Rules::any_order(std::vector<ExprId> items, std::vector<bool> required) {
  Expr expr;
  expr.kind = Expr::Kind::AnyOrder;
  expr.children = std::move(items);
  expr.required = std::move(required);
  return add(std::move(expr));
}

RuleId Rules::declare(std::string_view name) {
  const auto [found, is_new] =
      ids_.try_emplace(std::string(name), static_cast<RuleId>(bodies_.size()));
  if (is_new) {
    names_.emplace_back(name);
    bodies_.push_back(-1);
  }
  return found->second;
}

RuleId Rules::declare_new(std::string_view name) {
  std::string unique(name);
  // The number of rules makes the first guess new in nearly every case.
  for (std::size_t i = n_rules(); ids_.contains(unique); ++i) {
    unique = fmt::format("{}-{}", name, i);
  }
  return declare(unique);
}

void Rules::rewind(const Mark& mark) {
  for (std::size_t rule = mark.n_rules; rule < names_.size(); ++rule) ids_.erase(names_[rule]);
  names_.resize(mark.n_rules);
  bodies_.resize(mark.n_rules);
  exprs_.resize(mark.n_exprs);
}

namespace {

/// Which rules can match nothing, and which rules stand at the front of which. Linear in the size
/// of the grammar: an expression tells those that contain it, once, that it can be empty.
class LeftEdges {
 public:
  explicit LeftEdges(const Rules& rules)
      : rules_(rules),
        nullable_(rules.n_exprs(), false),
        missing_(rules.n_exprs(), 0),
        users_(rules.n_exprs()),
        bodies_of_(rules.n_exprs()),
        calls_(rules.n_rules()) {
    for (RuleId rule = 0; rule < rules.n_rules(); ++rule) {
      bodies_of_[rules.body(rule)].push_back(rule);
    }
    for (ExprId id = 0; id < rules.n_exprs(); ++id) {
      for (const ExprId child : rules[id].children) users_[child].push_back(id);
      if (rules[id].kind == Expr::Kind::Rule) calls_[rules[id].target].push_back(id);
      missing_[id] = rules[id].children.size();
    }
    for (ExprId id = 0; id < rules.n_exprs(); ++id) {
      if (empty_by_itself(rules[id])) mark(id);
    }
    while (!news_.empty()) spread();
  }

  std::vector<RuleId> of(RuleId rule) const {
    std::vector<RuleId> out;
    collect(rules_.body(rule), out);
    return out;
  }

 private:
  static bool empty_by_itself(const Expr& expr) {
    switch (expr.kind) {
      case Expr::Kind::Literal:
        return expr.text.empty();
      case Expr::Kind::Sequence:
        return expr.children.empty();
      case Expr::Kind::Repeat:
        return expr.min == 0 || expr.max == 0;
      case Expr::Kind::AnyOrder:
        return std::ranges::find(expr.required, true) == expr.required.end();
      case Expr::Kind::Choice:
      case Expr::Kind::Rule:
      case Expr::Kind::Class:
      case Expr::Kind::Token:
      case Expr::Kind::Until:
        return false;
    }
    return false;
  }

  void mark(ExprId id) {
    if (nullable_[id]) return;
    nullable_[id] = true;
    news_.push_back(id);
  }

  void spread() {
    const ExprId id = news_.back();
    news_.pop_back();
    for (const ExprId user : users_[id]) {
      const bool whole = rules_[user].kind != Expr::Kind::Sequence || --missing_[user] == 0;
      if (whole && rules_[user].kind != Expr::Kind::AnyOrder) mark(user);
    }
    for (const RuleId rule : bodies_of_[id]) {
      for (const ExprId call : calls_[rule]) mark(call);
    }
  }

  // Expressions nest at most a few times kMaxNesting deep, so recursion is safe.
  void collect(ExprId id, std::vector<RuleId>& out) const {
    const Expr& expr = rules_[id];
    switch (expr.kind) {
      case Expr::Kind::Sequence:
        for (const ExprId child : expr.children) {
          collect(child, out);
          if (!nullable_[child]) break;
        }
        break;
      case Expr::Kind::Choice:
      case Expr::Kind::Repeat:
      case Expr::Kind::AnyOrder:
        for (const ExprId child : expr.children) collect(child, out);
        break;
      case Expr::Kind::Rule:
        out.push_back(expr.target);
        break;
      case Expr::Kind::Literal:
      case Expr::Kind::Class:
      case Expr::Kind::Token:
      case Expr::Kind::Until:
        break;
    }
  }

  const Rules& rules_;
  std::vector<bool> nullable_;                  // by expression, as the next three
  std::vector<std::size_t> missing_;            // children not known to be nullable
  std::vector<std::vector<ExprId>> users_;      // expressions that contain it
  std::vector<std::vector<RuleId>> bodies_of_;  // rules whose body it is
  std::vector<std::vector<ExprId>> calls_;      // by rule: expressions that name it
  std::vector<ExprId> news_;
};

}  // namespace

void refuse_left_recursion(const Rules& rules) {
  const LeftEdges edges(rules);
  enum class Mark : std::uint8_t { New, Open, Done };
  struct Visit {
    RuleId rule;
    std::vector<RuleId> next;
  };
  std::vector<Mark> marks(rules.n_rules(), Mark::New);
  std::vector<Visit> path;  // depth first, without recursion: chains of rules can be long
  const auto open = [&](RuleId rule) {
    marks[rule] = Mark::Open;
    path.push_back({rule, edges.of(rule)});
  };
  for (RuleId start = 0; start < rules.n_rules(); ++start) {
    if (marks[start] != Mark::New) continue;
    open(start);
    while (!path.empty()) {
      if (path.back().next.empty()) {
        marks[path.back().rule] = Mark::Done;
        path.pop_back();
        continue;
      }
      const RuleId next = path.back().next.back();
      path.back().next.pop_back();
      if (marks[next] == Mark::New) {
        open(next);
      } else if (marks[next] == Mark::Open) {
        throw RequestError(fmt::format(
            "rule '{}' of the grammar can begin with itself (left recursion), which has no end; "
            "write it with the recursion at the end or as a repetition",
            rules.name(next)));
      }
    }
  }
}

}  // namespace foretoken::grammar
