// See expression_parser.h.
#include "chat/jinja/expression_parser.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace foretoken::chat::jinja {
namespace {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  ExpressionPtr parse_list(bool with_condition) {
    const Position at = tokens_.at();
    ExpressionPtr first = with_condition ? parse_conditional() : parse_or();
    if (!tokens_.is_operator(",")) return first;
    ListDisplay tuple{{}, true};
    tuple.items.push_back(std::move(first));
    while (tokens_.accept_operator(",")) {
      if (at_list_end()) break;
      tuple.items.push_back(with_condition ? parse_conditional() : parse_or());
    }
    return make(at, std::move(tuple));
  }

  ExpressionPtr parse_conditional() {
    const TokenStream::Nesting nesting(tokens_);
    const Position at = tokens_.at();
    ExpressionPtr value = parse_or();
    while (tokens_.accept_name("if")) {
      Conditional conditional;
      conditional.then = std::move(value);
      conditional.condition = parse_or();
      if (tokens_.accept_name("else")) conditional.otherwise = parse_conditional();
      value = make(at, std::move(conditional));
    }
    return value;
  }

  ExpressionPtr parse_filters(ExpressionPtr operand) {
    do {
      FilterCall filter;
      const Position at = tokens_.at();
      filter.operand = std::move(operand);
      filter.name = dotted_name("a filter's name");
      if (tokens_.accept_operator("(")) filter.arguments = parse_arguments();
      operand = make(at, std::move(filter));
    } while (tokens_.accept_operator("|"));
    return operand;
  }

 private:
  /// Builds a node, measuring its depth: loops that build left-deep trees do not pass Nesting.
  template <class Node>
  ExpressionPtr make(Position at, Node node) {
    const int depth = 1 + deepest(node);
    if (depth > tokens_.max_depth()) tokens_.fail_depth(at);
    return std::make_unique<const Expression>(Expression{at, std::move(node), depth});
  }

  static int depth_of(const ExpressionPtr& child) { return child == nullptr ? 0 : child->depth; }
  static int depth_of(const std::vector<ExpressionPtr>& children) {
    int depth = 0;
    for (const auto& child : children) depth = std::max(depth, depth_of(child));
    return depth;
  }
  static int deepest(const Literal&) { return 0; }
  static int deepest(const Name&) { return 0; }
  static int deepest(const ListDisplay& n) { return depth_of(n.items); }
  static int deepest(const DictDisplay& n) {
    int depth = 0;
    for (const auto& [k, v] : n.entries) depth = std::max({depth, depth_of(k), depth_of(v)});
    return depth;
  }
  static int deepest(const Unary& n) { return depth_of(n.operand); }
  static int deepest(const Binary& n) { return std::max(depth_of(n.left), depth_of(n.right)); }
  static int deepest(const Comparison& n) {
    int depth = depth_of(n.first);
    for (const auto& [op, operand] : n.rest) depth = std::max(depth, depth_of(operand));
    return depth;
  }
  static int deepest(const Conditional& n) {
    return std::max({depth_of(n.condition), depth_of(n.then), depth_of(n.otherwise)});
  }
  static int deepest(const Attribute& n) { return depth_of(n.object); }
  static int deepest(const Subscript& n) { return std::max(depth_of(n.object), depth_of(n.key)); }
  static int deepest(const Slice& n) {
    return std::max({depth_of(n.object), depth_of(n.start), depth_of(n.stop), depth_of(n.step)});
  }
  static int deepest(const ArgumentList& n) {
    int depth = depth_of(n.positional);
    for (const auto& [name, value] : n.named) depth = std::max(depth, depth_of(value));
    return depth;
  }
  static int deepest(const Call& n) { return std::max(depth_of(n.callee), deepest(n.arguments)); }
  static int deepest(const FilterCall& n) {
    return std::max(depth_of(n.operand), deepest(n.arguments));
  }
  static int deepest(const TestCall& n) {
    return std::max(depth_of(n.operand), deepest(n.arguments));
  }

  bool at_list_end() const {
    const TokenKind kind = tokens_.peek().kind;
    return kind == TokenKind::PrintEnd || kind == TokenKind::BlockEnd || tokens_.is_operator(")") ||
           tokens_.is_operator("]") || tokens_.is_name("in") || tokens_.is_operator("=");
  }

  ExpressionPtr binary(Position at, BinaryOp op, ExpressionPtr left, ExpressionPtr right) {
    return make(at, Binary{op, std::move(left), std::move(right)});
  }

 public:
  ExpressionPtr parse_or() {
    ExpressionPtr left = parse_and();
    while (tokens_.is_name("or")) {
      const Position at = tokens_.take().at;
      left = binary(at, BinaryOp::Or, std::move(left), parse_and());
    }
    return left;
  }

 private:
  ExpressionPtr parse_and() {
    ExpressionPtr left = parse_not();
    while (tokens_.is_name("and")) {
      const Position at = tokens_.take().at;
      left = binary(at, BinaryOp::And, std::move(left), parse_not());
    }
    return left;
  }

  ExpressionPtr parse_not() {
    if (!tokens_.is_name("not")) return parse_comparison();
    const TokenStream::Nesting nesting(tokens_);
    const Position at = tokens_.take().at;
    return make(at, Unary{UnaryOp::Not, parse_not()});
  }

  std::optional<CompareOp> take_compare_op() {
    constexpr std::pair<std::string_view, CompareOp> kOps[] = {
        {"==", CompareOp::Equal},     {"!=", CompareOp::NotEqual}, {"<", CompareOp::Less},
        {"<=", CompareOp::LessEqual}, {">", CompareOp::Greater},   {">=", CompareOp::GreaterEqual}};
    for (const auto& [text, op] : kOps) {
      if (tokens_.accept_operator(text)) return op;
    }
    if (tokens_.accept_name("in")) return CompareOp::In;
    if (tokens_.is_name("not") && tokens_.is_name("in", 1)) {
      tokens_.take();
      tokens_.take();
      return CompareOp::NotIn;
    }
    return std::nullopt;
  }

  ExpressionPtr parse_comparison() {
    const Position at = tokens_.at();
    ExpressionPtr first = parse_sum();
    Comparison comparison;
    while (const auto op = take_compare_op()) comparison.rest.emplace_back(*op, parse_sum());
    if (comparison.rest.empty()) return first;
    comparison.first = std::move(first);
    return make(at, std::move(comparison));
  }

  ExpressionPtr parse_sum() {
    ExpressionPtr left = parse_concat();
    while (tokens_.is_operator("+") || tokens_.is_operator("-")) {
      const Token op = tokens_.take();
      left = binary(op.at, op.text == "+" ? BinaryOp::Add : BinaryOp::Subtract, std::move(left),
                    parse_concat());
    }
    return left;
  }

  ExpressionPtr parse_concat() {
    ExpressionPtr left = parse_product();
    while (tokens_.is_operator("~")) {
      const Position at = tokens_.take().at;
      left = binary(at, BinaryOp::Concat, std::move(left), parse_product());
    }
    return left;
  }

  ExpressionPtr parse_product() {
    constexpr std::pair<std::string_view, BinaryOp> kOps[] = {{"*", BinaryOp::Multiply},
                                                              {"/", BinaryOp::Divide},
                                                              {"//", BinaryOp::FloorDivide},
                                                              {"%", BinaryOp::Modulo}};
    ExpressionPtr left = parse_power();
    while (true) {
      const auto op = std::find_if(std::begin(kOps), std::end(kOps),
                                   [&](const auto& o) { return tokens_.is_operator(o.first); });
      if (op == std::end(kOps)) return left;
      const Position at = tokens_.take().at;
      left = binary(at, op->second, std::move(left), parse_power());
    }
  }

  ExpressionPtr parse_power() {
    ExpressionPtr left = parse_unary(true);
    while (tokens_.is_operator("**")) {
      const Position at = tokens_.take().at;
      left = binary(at, BinaryOp::Power, std::move(left), parse_unary(true));
    }
    return left;
  }

  ExpressionPtr parse_unary(bool with_filters) {
    const TokenStream::Nesting nesting(tokens_);
    const Position at = tokens_.at();
    ExpressionPtr value;
    if (tokens_.accept_operator("-")) {
      value = make(at, Unary{UnaryOp::Negate, parse_unary(false)});
    } else if (tokens_.accept_operator("+")) {
      value = make(at, Unary{UnaryOp::Plus, parse_unary(false)});
    } else {
      value = parse_primary();
    }
    value = parse_postfix(std::move(value));
    if (with_filters) value = parse_filters_and_tests(std::move(value));
    return value;
  }

  ExpressionPtr parse_primary() {
    const Position at = tokens_.at();
    switch (tokens_.peek().kind) {
      case TokenKind::Name:
        return parse_name();
      case TokenKind::String:
        return parse_strings();
      case TokenKind::Integer:
        return make(at, Literal{parse_integer(tokens_.take())});
      case TokenKind::Float:
        return make(at, Literal{parse_float(tokens_.take())});
      default:
        break;
    }
    if (tokens_.accept_operator("(")) return parse_parenthesis(at);
    if (tokens_.accept_operator("[")) {
      ListDisplay list;
      while (!tokens_.is_operator("]")) {
        list.items.push_back(parse_conditional());
        if (!tokens_.accept_operator(",")) break;
      }
      tokens_.expect_operator("]");
      return make(at, std::move(list));
    }
    if (tokens_.accept_operator("{")) return parse_dict(at);
    tokens_.fail("expected an expression, found " + tokens_.describe());
  }

  ExpressionPtr parse_name() {
    const Token token = tokens_.take();
    const std::string& name = token.text;
    if (name == "true" || name == "True") return make(token.at, Literal{true});
    if (name == "false" || name == "False") return make(token.at, Literal{false});
    if (name == "none" || name == "None") return make(token.at, Literal{None{}});
    constexpr std::string_view kReserved[] = {"if", "else", "and", "or", "not", "in", "is", "for"};
    if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved)) {
      TokenStream::fail_at(token.at, "expected an expression, found '" + name + "'");
    }
    return make(token.at, Name{name});
  }

  ExpressionPtr parse_strings() {
    const Position at = tokens_.at();
    std::string value;  // neighbouring literals join, as in Python
    while (tokens_.peek().kind == TokenKind::String) value += tokens_.take().text;
    return make(at, Literal{TextPtr(std::make_shared<const Text>(std::move(value), true))});
  }

  static Value parse_integer(const Token& token) {
    std::int64_t value = 0;
    const char* end = token.text.data() + token.text.size();
    const auto result = std::from_chars(token.text.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end) {
      TokenStream::fail_at(token.at, "the integer " + token.text + " is too large");
    }
    return Int{value};
  }

  static Value parse_float(const Token& token) {
    double value = 0;
    const char* end = token.text.data() + token.text.size();
    const auto result = std::from_chars(token.text.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end) {
      TokenStream::fail_at(token.at, "the number " + token.text + " is out of range");
    }
    return value;
  }

  ExpressionPtr parse_parenthesis(Position at) {
    if (tokens_.accept_operator(")")) return make(at, ListDisplay{{}, true});
    ExpressionPtr inner = parse_list(true);
    tokens_.expect_operator(")");
    return inner;
  }

  ExpressionPtr parse_dict(Position at) {
    DictDisplay dict;
    while (!tokens_.is_operator("}")) {
      ExpressionPtr key = parse_conditional();
      tokens_.expect_operator(":");
      dict.entries.emplace_back(std::move(key), parse_conditional());
      if (!tokens_.accept_operator(",")) break;
    }
    tokens_.expect_operator("}");
    return make(at, std::move(dict));
  }

  ExpressionPtr parse_postfix(ExpressionPtr value) {
    while (true) {
      const Position at = tokens_.at();
      if (tokens_.accept_operator(".")) {
        value = parse_attribute(at, std::move(value));
      } else if (tokens_.accept_operator("[")) {
        value = parse_subscript(at, std::move(value));
      } else if (tokens_.accept_operator("(")) {
        value = make(at, Call{std::move(value), parse_arguments()});
      } else {
        return value;
      }
    }
  }

  ExpressionPtr parse_attribute(Position at, ExpressionPtr object) {
    if (tokens_.peek().kind == TokenKind::Integer) {
      ExpressionPtr index = make(at, Literal{parse_integer(tokens_.take())});
      return make(at, Subscript{std::move(object), std::move(index)});
    }
    return make(at, Attribute{std::move(object), tokens_.expect_name("an attribute's name")});
  }

  ExpressionPtr parse_subscript(Position at, ExpressionPtr object) {
    ExpressionPtr first;
    if (!tokens_.is_operator(":")) first = parse_conditional();
    if (!tokens_.is_operator(":")) {
      tokens_.expect_operator("]");
      return make(at, Subscript{std::move(object), std::move(first)});
    }
    Slice slice;
    slice.object = std::move(object);
    slice.start = std::move(first);
    tokens_.take();
    const auto absent = [&] { return tokens_.is_operator(":") || tokens_.is_operator("]"); };
    if (!absent()) slice.stop = parse_conditional();
    if (tokens_.accept_operator(":") && !absent()) slice.step = parse_conditional();
    tokens_.expect_operator("]");
    return make(at, std::move(slice));
  }

  /// Behind the opening parenthesis, up to and including the closing one.
  ArgumentList parse_arguments() {
    ArgumentList arguments;
    while (!tokens_.is_operator(")")) {
      if (tokens_.is_operator("*") || tokens_.is_operator("**")) {
        tokens_.fail("unpacking arguments with '*' is not supported");
      }
      if (tokens_.peek().kind == TokenKind::Name && tokens_.is_operator("=", 1)) {
        std::string name = tokens_.take().text;
        tokens_.take();
        arguments.named.emplace_back(std::move(name), parse_conditional());
      } else if (!arguments.named.empty()) {
        tokens_.fail("a positional argument cannot follow a named one");
      } else {
        arguments.positional.push_back(parse_conditional());
      }
      if (!tokens_.accept_operator(",")) break;
    }
    tokens_.expect_operator(")");
    return arguments;
  }

  ExpressionPtr parse_filters_and_tests(ExpressionPtr value) {
    while (true) {
      if (tokens_.accept_operator("|")) {
        value = parse_filters(std::move(value));
      } else if (tokens_.is_name("is")) {
        value = parse_test(std::move(value));
      } else if (tokens_.is_operator("(")) {
        const Position at = tokens_.take().at;
        value = make(at, Call{std::move(value), parse_arguments()});
      } else {
        return value;
      }
    }
  }

  ExpressionPtr parse_test(ExpressionPtr operand) {
    const Position at = tokens_.take().at;
    TestCall test;
    test.operand = std::move(operand);
    test.negated = tokens_.accept_name("not");
    test.name = dotted_name("a test's name");
    if (tokens_.accept_operator("(")) {
      test.arguments = parse_arguments();
    } else if (at_test_argument()) {
      test.arguments.positional.push_back(parse_postfix(parse_primary()));
    }
    return make(at, std::move(test));
  }

  // `x is divisibleby 3`: one argument may follow without parentheses.
  bool at_test_argument() const {
    const Token& token = tokens_.peek();
    if (token.kind == TokenKind::Name) {
      constexpr std::string_view kContinues[] = {"else", "or", "and", "if", "in", "not", "is"};
      return std::find(std::begin(kContinues), std::end(kContinues), token.text) ==
             std::end(kContinues);
    }
    return token.kind == TokenKind::String || token.kind == TokenKind::Integer ||
           token.kind == TokenKind::Float || tokens_.is_operator("[") || tokens_.is_operator("{");
  }

  std::string dotted_name(std::string_view what) {
    std::string name = tokens_.expect_name(what);
    while (tokens_.accept_operator(".")) name += "." + tokens_.expect_name(what);
    return name;
  }

  TokenStream& tokens_;
};

}  // namespace

ExpressionPtr parse_expression_list(TokenStream& tokens) {
  return ExpressionParser(tokens).parse_list(true);
}

ExpressionPtr parse_expression(TokenStream& tokens) {
  return ExpressionParser(tokens).parse_conditional();
}

ExpressionPtr parse_iterable(TokenStream& tokens) {
  return ExpressionParser(tokens).parse_list(false);
}

ExpressionPtr parse_filter_chain(TokenStream& tokens) {
  return ExpressionParser(tokens).parse_filters(nullptr);
}

}  // namespace foretoken::chat::jinja
