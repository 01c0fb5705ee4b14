// A grammar compiled: instructions of a small machine with a call stack, in the manner of Pike's
// regular-expression machine, extended by calls for rules.
// Source: docs/grammar.md, "Matching"; R. Cox, "Regular Expression Matching: the Virtual Machine
// Approach" (2009) for the machine without calls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grammar/byte_dfa.h"
#include "grammar/rules.h"

namespace foretoken::grammar {

struct Instruction {
  enum class Op : std::uint8_t {
    Byte,      ///< match the byte `arg`
    Dfa,       ///< match with dfas[arg], beginning in state `start`
    Token,     ///< match the token `arg`
    NotToken,  ///< match any other token that ends nothing
    Split,     ///< go on behind this and also at `arg`
    Jump,      ///< go on at `arg`
    Call,      ///< go to `arg`, come back behind this
    Return,
    AnyOrder,  ///< any_orders[arg]: each item at most once, in any order, then go on
  };
  Op op = Op::Return;
  std::uint16_t start = 0;
  std::uint32_t arg = 0;
};

/// Items of an AnyOrder instruction.
struct AnyOrderItems {
  std::vector<std::uint32_t> starts;  ///< code of each item, ending in Return
  std::vector<bool> required;
};

struct Program {
  std::vector<Instruction> code;
  std::vector<ByteDfa> dfas;
  std::vector<AnyOrderItems> any_orders;
  std::vector<std::uint32_t> entries;  ///< code to begin with, as compile was asked for
};

/// Compiles the rules with one entry for each of `entries`. Throws RequestError for left recursion
/// and for grammars beyond the limits (instructions, automata).
Program compile(const Rules& rules, const std::vector<ExprId>& entries);

}  // namespace foretoken::grammar
