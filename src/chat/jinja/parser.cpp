// See parser.h.
#include "chat/jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "chat/jinja/expression_parser.h"
#include "chat/jinja/token_stream.h"

namespace foretoken::chat::jinja {
namespace {

class Parser {
 public:
  explicit Parser(TokenStream tokens) : tokens_(std::move(tokens)) {}

  Body parse_template() {
    Body body = parse_body({});
    if (tokens_.peek().kind != TokenKind::End) tokens_.fail("unexpected " + tokens_.describe());
    return body;
  }

 private:
  using Enders = std::initializer_list<std::string_view>;

  /// Statements up to one of the tags in `enders`, whose '{%' is left in the stream; without any,
  /// up to the end of the template.
  Body parse_body(Enders enders) {
    const TokenStream::Nesting nesting(tokens_);
    const Position begin = tokens_.at();
    Body body;
    while (true) {
      const Token& token = tokens_.peek();
      if (token.kind == TokenKind::End) {
        if (enders.size() == 0) return body;
        TokenStream::fail_at(begin, "the block that starts before here lacks its '" +
                                        std::string(*(enders.end() - 1)) + "'");
      }
      if (token.kind == TokenKind::Text) {
        Token text = tokens_.take();
        body.push_back({text.at, Output{std::move(text.text)}});
      } else if (token.kind == TokenKind::PrintBegin) {
        const Position at = tokens_.take().at;
        body.push_back({at, Print{parse_expression_list(tokens_)}});
        tokens_.expect(TokenKind::PrintEnd, "'}}'");
      } else {
        const bool ends = std::any_of(enders.begin(), enders.end(),
                                      [&](std::string_view e) { return tokens_.is_name(e, 1); });
        if (ends) return body;
        body.push_back(parse_statement());
      }
    }
  }

  /// Consumes '{%' and the tag's name, which the caller knows to be there.
  std::string take_tag() {
    tokens_.take();
    return tokens_.take().text;
  }
  void end_tag() { tokens_.expect(TokenKind::BlockEnd, "'%}'"); }
  void close(std::string_view ender) {
    take_tag();
    // Jinja allows a name behind endblock-like tags; only endmacro is seen with one.
    if (ender == "endmacro" && tokens_.peek().kind == TokenKind::Name) tokens_.take();
    end_tag();
  }

  Statement parse_statement() {
    const Position at = tokens_.at();
    tokens_.take();
    const std::string tag = tokens_.expect_name("a tag's name");
    if (tag == "set") return {at, parse_set()};
    if (tag == "if") return {at, parse_if()};
    if (tag == "for") return {at, parse_for()};
    if (tag == "macro") return {at, parse_macro()};
    if (tag == "call") return {at, parse_call_block()};
    if (tag == "filter") return {at, parse_filter_block()};
    if (tag == "with") return {at, parse_with()};
    if (tag == "generation") {
      end_tag();
      Group group{parse_body({"endgeneration"})};
      close("endgeneration");
      return {at, std::move(group)};
    }
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) TokenStream::fail_at(at, "'" + tag + "' outside of a loop");
      end_tag();
      return tag == "break" ? Statement{at, Break{}} : Statement{at, Continue{}};
    }
    TokenStream::fail_at(at, "the tag '" + tag + "' is not supported or does not belong here");
  }

  /// a | a, b | (a, b) | a.b where allowed.
  Target parse_target(bool attribute_allowed) {
    Target target;
    target.at = tokens_.at();
    const bool parenthesis = tokens_.accept_operator("(");
    target.names.push_back(tokens_.expect_name("a variable's name"));
    if (attribute_allowed && !parenthesis && tokens_.accept_operator(".")) {
      target.attribute = tokens_.expect_name("an attribute's name");
      return target;
    }
    while (tokens_.accept_operator(",")) {
      target.unpack = true;
      if (tokens_.peek().kind != TokenKind::Name || tokens_.is_name("in")) break;
      target.names.push_back(tokens_.take().text);
    }
    if (parenthesis) tokens_.expect_operator(")");
    return target;
  }

  Statement::Node parse_set() {
    Target target = parse_target(true);
    if (tokens_.accept_operator("=")) {
      Set set{std::move(target), parse_expression_list(tokens_)};
      end_tag();
      return set;
    }
    SetBlock block;
    block.target = std::move(target);
    if (tokens_.accept_operator("|")) block.filters = parse_filter_chain(tokens_);
    end_tag();
    block.body = parse_body({"endset"});
    close("endset");
    return block;
  }

  Statement::Node parse_if() {
    If statement;
    ExpressionPtr condition = parse_expression_list(tokens_);
    end_tag();
    while (true) {
      Body body = parse_body({"elif", "else", "endif"});
      const bool was_else = condition == nullptr;
      statement.branches.push_back({std::exchange(condition, nullptr), std::move(body)});
      const Position at = tokens_.at();
      const std::string tag = take_tag();
      if (tag == "elif" && !was_else) {
        condition = parse_expression_list(tokens_);
      } else if (tag != "else" || was_else) {
        if (tag != "endif") TokenStream::fail_at(at, "'" + tag + "' behind 'else'");
        end_tag();
        return statement;
      }
      end_tag();
    }
  }

  Statement::Node parse_for() {
    For loop;
    loop.target = parse_target(false);
    if (!tokens_.accept_name("in")) tokens_.fail("expected 'in', found " + tokens_.describe());
    loop.iterable = parse_iterable(tokens_);
    if (tokens_.accept_name("if")) loop.filter = parse_expression(tokens_);
    if (tokens_.is_name("recursive")) tokens_.fail("recursive loops are not supported");
    end_tag();
    ++loops_;
    loop.body = parse_body({"else", "endfor"});
    --loops_;
    if (take_tag() == "else") {
      end_tag();
      loop.otherwise = parse_body({"endfor"});
      take_tag();
    }
    end_tag();
    return loop;
  }

  std::vector<MacroDefinition::Parameter> parse_parameters() {
    std::vector<MacroDefinition::Parameter> parameters;
    while (!tokens_.is_operator(")")) {
      MacroDefinition::Parameter parameter{tokens_.expect_name("a parameter's name"), nullptr};
      if (tokens_.accept_operator("=")) {
        parameter.fallback = parse_expression(tokens_);
      } else if (!parameters.empty() && parameters.back().fallback != nullptr) {
        tokens_.fail("a parameter without a default follows one that has one");
      }
      parameters.push_back(std::move(parameter));
      if (!tokens_.accept_operator(",")) break;
    }
    tokens_.expect_operator(")");
    return parameters;
  }

  /// The body of a macro or call block: loops around it are none of its business.
  Body parse_detached_body(std::string_view ender) {
    const int loops = std::exchange(loops_, 0);
    Body body = parse_body({ender});
    loops_ = loops;
    close(ender);
    return body;
  }

  Statement::Node parse_macro() {
    auto macro = std::make_unique<MacroDefinition>();
    macro->name = tokens_.expect_name("a macro's name");
    tokens_.expect_operator("(");
    macro->parameters = parse_parameters();
    end_tag();
    macro->body = parse_detached_body("endmacro");
    return std::unique_ptr<const MacroDefinition>(std::move(macro));
  }

  Statement::Node parse_call_block() {
    auto caller = std::make_unique<MacroDefinition>();
    caller->name = "caller";
    if (tokens_.accept_operator("(")) caller->parameters = parse_parameters();
    const Position at = tokens_.at();
    CallBlock block;
    block.call = parse_expression(tokens_);
    if (!std::holds_alternative<Call>(block.call->node)) {
      TokenStream::fail_at(at, "'call' needs the call of a macro");
    }
    end_tag();
    caller->body = parse_detached_body("endcall");
    block.caller = std::move(caller);
    return block;
  }

  Statement::Node parse_filter_block() {
    FilterBlock block;
    block.filters = parse_filter_chain(tokens_);
    end_tag();
    block.body = parse_body({"endfilter"});
    close("endfilter");
    return block;
  }

  Statement::Node parse_with() {
    With with;
    while (tokens_.peek().kind != TokenKind::BlockEnd) {
      Target target = parse_target(false);
      tokens_.expect_operator("=");
      with.assignments.emplace_back(std::move(target), parse_expression(tokens_));
      if (!tokens_.accept_operator(",")) break;
    }
    end_tag();
    with.body = parse_body({"endwith"});
    close("endwith");
    return with;
  }

  TokenStream tokens_;
  int loops_ = 0;
};

}  // namespace

Body parse(std::string_view source, const Limits& limits) {
  if (source.size() > limits.max_source_bytes) {
    throw TemplateError(TemplateError::Cause::Limit, {},
                        "the template has " + std::to_string(source.size()) +
                            " bytes, more than the " + std::to_string(limits.max_source_bytes) +
                            " allowed");
  }
  // Parsing recurses through about a dozen functions per level, hence the tighter bound.
  return Parser(TokenStream(tokenize(source), limits.max_depth / 2)).parse_template();
}

}  // namespace foretoken::chat::jinja
