// See program.h.
#include "grammar/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_map>

#include "base/error.h"

namespace foretoken::grammar {
namespace {

using Op = Instruction::Op;

constexpr std::size_t kMaxInstructions = std::size_t{1} << 20;
constexpr std::size_t kMaxDfaRows = 16384;

class Compiler {
 public:
  explicit Compiler(const Rules& rules) : rules_(rules), rule_starts_(rules.n_rules(), 0) {}

  Program compile(const std::vector<ExprId>& entries) {
    for (const ExprId entry : entries) {
      program_.entries.push_back(here());
      emit_routine(entry);
    }
    for (RuleId rule = 0; rule < rules_.n_rules(); ++rule) {
      rule_starts_[rule] = here();
      emit_routine(rules_.body(rule));
    }
    // Shared bodies of repetitions and items may ask for more of their kind while they are emitted.
    for (std::size_t i = 0; i < routines_.size(); ++i) {
      const std::uint32_t start = here();
      emit_routine(routines_[i].body);
      routines_[i].start = start;
    }
    resolve();
    return std::move(program_);
  }

 private:
  struct Routine {
    ExprId body;
    std::uint32_t start = 0;
  };
  struct Fixup {
    std::uint32_t at;  // instruction whose arg names a rule or a routine
    std::uint32_t target;
  };

  std::uint32_t here() const { return static_cast<std::uint32_t>(program_.code.size()); }

  std::uint32_t emit(Op op, std::uint32_t arg = 0, std::uint16_t start = 0) {
    if (program_.code.size() >= kMaxInstructions) {
      throw RequestError(fmt::format("the grammar needs more than {} instructions; simplify it",
                                     kMaxInstructions));
    }
    program_.code.push_back({op, start, arg});
    return here() - 1;
  }

  void emit_routine(ExprId body) {
    emit_expr(body);
    emit(Op::Return);
  }

  void emit_expr(ExprId id) {
    const Expr& expr = rules_[id];
    switch (expr.kind) {
      case Expr::Kind::Literal:
        return emit_bytes(expr.text);
      case Expr::Kind::Class:
        return emit_dfa(
            class_key(expr.ranges), [&] { return make_class_dfa(expr.ranges); }, 0);
      case Expr::Kind::Sequence:
        for (const ExprId child : expr.children) emit_expr(child);
        return;
      case Expr::Kind::Choice:
        return emit_choice(expr);
      case Expr::Kind::Repeat:
        return emit_repeat(expr);
      case Expr::Kind::Rule:
        rule_calls_.push_back({emit(Op::Call), expr.target});
        return;
      case Expr::Kind::Token:
        emit(expr.negated ? Op::NotToken : Op::Token, expr.target);
        return;
      case Expr::Kind::Until:
        return emit_dfa(
            until_key(expr.text), [&] { return make_until_dfa(expr.text); },
            static_cast<std::uint16_t>(expr.min));
      case Expr::Kind::AnyOrder:
        return emit_any_order(expr);
    }
  }

  void emit_bytes(std::string_view bytes) {
    for (const char byte : bytes) emit(Op::Byte, static_cast<unsigned char>(byte));
  }

  template <class Make>
  void emit_dfa(const std::string& key, Make&& make, std::uint16_t start) {
    const auto [found, is_new] =
        dfa_ids_.try_emplace(key, static_cast<std::uint32_t>(program_.dfas.size()));
    if (is_new) {
      program_.dfas.push_back(make());
      n_dfa_rows_ += program_.dfas.back().rows.size();
      if (n_dfa_rows_ > kMaxDfaRows) {
        throw RequestError("the character classes of the grammar are too many; simplify it");
      }
    }
    emit(Op::Dfa, found->second, start);
  }

  void emit_choice(const Expr& expr) {
    const bool words = std::ranges::all_of(
        expr.children, [&](ExprId child) { return rules_[child].kind == Expr::Kind::Literal; });
    if (words && expr.children.size() > 2) {
      std::vector<std::string_view> texts;
      for (const ExprId child : expr.children) texts.push_back(rules_[child].text);
      std::ranges::sort(texts);
      texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
      std::vector<std::uint32_t> jumps;
      emit_words(texts, 0, jumps);
      land(jumps);
      return;
    }
    std::vector<std::uint32_t> jumps;
    for (std::size_t i = 0; i + 1 < expr.children.size(); ++i) {
      const std::uint32_t split = emit(Op::Split);
      emit_expr(expr.children[i]);
      jumps.push_back(emit(Op::Jump));
      program_.code[split].arg = here();
    }
    emit_expr(expr.children.back());
    land(jumps);
  }

  /// Lets jumps end here.
  void land(const std::vector<std::uint32_t>& jumps) {
    for (const std::uint32_t jump : jumps) program_.code[jump].arg = here();
  }

  /// Sorted, distinct words that agree in their first `depth` bytes, as a tree of their bytes: an
  /// enumeration of thousands then costs the matcher no more than one of its words. Recursion only
  /// where words part, at most kMaxNesting deep; below that, side by side.
  void emit_words(std::span<const std::string_view> words, std::size_t depth,
                  std::vector<std::uint32_t>& ends, int nesting = 0) {
    // What all of them begin with.
    const std::string_view first = words.front();
    const std::string_view last = words.back();
    std::size_t common = depth;
    while (common < first.size() && common < last.size() && first[common] == last[common]) ++common;
    if (words.size() > 1 && nesting > kMaxNesting) common = depth;
    emit_bytes(first.substr(depth, words.size() == 1 ? std::string_view::npos : common - depth));
    if (words.size() == 1) {
      ends.push_back(emit(Op::Jump));
      return;
    }
    for (std::size_t begin = 0; begin < words.size();) {
      std::size_t end = begin + 1;
      const bool ends_here = words[begin].size() == common;
      if (nesting <= kMaxNesting && !ends_here) {
        while (end < words.size() && words[end][common] == words[begin][common]) ++end;
      }
      const bool more = end < words.size();
      const std::uint32_t split = more ? emit(Op::Split) : 0;
      emit_words(words.subspan(begin, end - begin), common, ends, nesting + 1);
      if (more) program_.code[split].arg = here();
      begin = end;
    }
  }

  void emit_repeat(const Expr& expr) {
    const ExprId child = expr.children[0];
    if (expr.max == 0) return;
    if (expr.max == 1 || (expr.max == kUnbounded && expr.min <= 1)) {
      return emit_small_repeat(child, expr.min, expr.max);
    }
    // Longer bodies become routines, so that nested repetitions add up instead of multiplying.
    const Expr& body = rules_[child];
    const bool short_body = body.kind == Expr::Kind::Class || body.kind == Expr::Kind::Rule ||
                            (body.kind == Expr::Kind::Literal && body.text.size() <= 1);
    const std::uint32_t routine = short_body ? 0 : add_routine(child);
    const auto emit_copy = [&] {
      if (short_body) {
        emit_expr(child);
      } else {
        routine_calls_.push_back({emit(Op::Call), routine});
      }
    };
    for (std::uint32_t i = 0; i < expr.min; ++i) emit_copy();
    if (expr.max == kUnbounded) {
      const std::uint32_t split = emit(Op::Split);
      emit_copy();
      emit(Op::Jump, split);
      program_.code[split].arg = here();
      return;
    }
    // Leaving leads to the very end, not through the copies that follow.
    std::vector<std::uint32_t> exits;
    for (std::uint32_t i = expr.min; i < expr.max; ++i) {
      exits.push_back(emit(Op::Split));
      emit_copy();
    }
    land(exits);
  }

  /// X, X?, X* or X+, with X's code once: nesting such repetitions must not double it.
  void emit_small_repeat(ExprId child, std::uint32_t min, std::uint32_t max) {
    const std::uint32_t begin = here();
    if (min == 1) {
      emit_expr(child);
      if (max == kUnbounded) emit(Op::Split, begin);
      return;
    }
    emit(Op::Split);
    emit_expr(child);
    if (max == kUnbounded) emit(Op::Jump, begin);
    program_.code[begin].arg = here();
  }

  std::uint32_t add_routine(ExprId body) {
    routines_.push_back({body, 0});
    return static_cast<std::uint32_t>(routines_.size() - 1);
  }

  void emit_any_order(const Expr& expr) {
    AnyOrderItems items;
    for (const ExprId child : expr.children) items.starts.push_back(add_routine(child));
    items.required = expr.required;
    program_.any_orders.push_back(std::move(items));
    emit(Op::AnyOrder, static_cast<std::uint32_t>(program_.any_orders.size() - 1));
  }

  void resolve() {
    for (const Fixup& call : rule_calls_) {
      program_.code[call.at].arg = rule_starts_[call.target];
    }
    for (const Fixup& call : routine_calls_) {
      program_.code[call.at].arg = routines_[call.target].start;
    }
    for (AnyOrderItems& items : program_.any_orders) {
      for (std::uint32_t& start : items.starts) start = routines_[start].start;
    }
  }

  const Rules& rules_;
  Program program_;
  std::vector<std::uint32_t> rule_starts_;
  std::vector<Routine> routines_;
  std::vector<Fixup> rule_calls_;
  std::vector<Fixup> routine_calls_;
  std::unordered_map<std::string, std::uint32_t> dfa_ids_;
  std::size_t n_dfa_rows_ = 0;
};

}  // namespace

Program compile(const Rules& rules, const std::vector<ExprId>& entries) {
  refuse_left_recursion(rules);
  return Compiler(rules).compile(entries);
}

}  // namespace foretoken::grammar
