// The syntax tree of a template. Built once by the parser, never changed, read by any number of
// evaluators at a time. `depth` bounds the recursion of everything that walks or destroys a tree.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "chat/jinja/error.h"
#include "chat/jinja/value.h"

namespace foretoken::chat::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListDisplay {
  std::vector<ExpressionPtr> items;
  bool tuple = false;
};
struct DictDisplay {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};

enum class UnaryOp { Not, Negate, Plus };
struct Unary {
  UnaryOp op;
  ExpressionPtr operand;
};

enum class BinaryOp {
  Or,
  And,
  Add,
  Subtract,
  Multiply,
  Divide,
  FloorDivide,
  Modulo,
  Power,
  Concat
};
struct Binary {
  BinaryOp op;
  ExpressionPtr left;
  ExpressionPtr right;
};

enum class CompareOp { Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, In, NotIn };
/// first op1 x1 op2 x2 ...: true when every neighbouring pair compares true.
struct Comparison {
  ExpressionPtr first;
  std::vector<std::pair<CompareOp, ExpressionPtr>> rest;
};
/// then if condition else otherwise; undefined without an else.
struct Conditional {
  ExpressionPtr condition;
  ExpressionPtr then;
  ExpressionPtr otherwise;  ///< may be null
};

struct Attribute {
  ExpressionPtr object;
  std::string name;
};
struct Subscript {
  ExpressionPtr object;
  ExpressionPtr key;
};
struct Slice {
  ExpressionPtr object;
  ExpressionPtr start;  ///< each of the three may be null
  ExpressionPtr stop;
  ExpressionPtr step;
};

struct ArgumentList {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};
struct Call {
  ExpressionPtr callee;
  ArgumentList arguments;
};
struct FilterCall {
  ExpressionPtr operand;  ///< null in a filter block: the block's text
  std::string name;
  ArgumentList arguments;
};
struct TestCall {
  ExpressionPtr operand;
  std::string name;
  ArgumentList arguments;
  bool negated = false;
};

struct Expression {
  using Node = std::variant<Literal, Name, ListDisplay, DictDisplay, Unary, Binary, Comparison,
                            Conditional, Attribute, Subscript, Slice, Call, FilterCall, TestCall>;
  Position at;
  Node node;
  int depth = 1;  ///< 1 + the deepest child
};

struct Statement;
using Body = std::vector<Statement>;

/// A name, several names to unpack into, or an attribute of a namespace.
struct Target {
  Position at;
  std::vector<std::string> names;
  bool unpack = false;    ///< a tuple, even if of one name
  std::string attribute;  ///< of names[0], when not empty
};

struct Output {
  std::string text;
};
struct Print {
  ExpressionPtr value;
};
struct If {
  struct Branch {
    ExpressionPtr condition;  ///< null: the else branch, always last
    Body body;
  };
  std::vector<Branch> branches;
};
struct For {
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr filter;  ///< may be null
  Body body;
  Body otherwise;  ///< when there was nothing to iterate over
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {
  Target target;
  ExpressionPtr filters;  ///< may be null; a chain whose innermost operand is null
  Body body;
};
struct FilterBlock {
  ExpressionPtr filters;
  Body body;
};
struct With {
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
  Body body;
};
struct MacroDefinition {
  struct Parameter {
    std::string name;
    ExpressionPtr fallback;  ///< may be null
  };
  std::string name;  ///< "caller" for the body of a call block
  std::vector<Parameter> parameters;
  Body body;
};
struct CallBlock {
  std::unique_ptr<const MacroDefinition> caller;
  ExpressionPtr call;  ///< a Call
};
/// A block that only groups, such as {% generation %}.
struct Group {
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  using Node =
      std::variant<Output, Print, If, For, Set, SetBlock, FilterBlock, With,
                   std::unique_ptr<const MacroDefinition>, CallBlock, Group, Break, Continue>;
  Position at;
  Node node;
};

}  // namespace foretoken::chat::jinja
