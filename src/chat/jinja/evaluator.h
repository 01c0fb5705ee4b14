// Runs a template's syntax tree over a set of variables and collects the text.
//
// Variables live in scopes: loops (one per iteration), macros and `with` open one, `if` does not.
// An evaluator serves one rendering on one thread; the tree is shared and never changed.
// Source: docs/chat-template.md, "Scopes".
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/context.h"
#include "chat/jinja/text_builder.h"
#include "chat/jinja/value.h"

namespace foretoken::chat::jinja {

struct Scope {
  std::unordered_map<std::string_view, Value>
      variables;  // names of the syntax tree or of built-ins
  std::shared_ptr<Scope> parent;
};

class Evaluator {
 public:
  /// `body` must outlive the evaluator.
  Evaluator(const Body& body, const Limits& limits);
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;
  ~Evaluator();

  /// Defines a variable of the outermost scope; `name` must outlive the evaluator.
  void define(std::string_view name, Value value);
  /// Runs the template once.
  Text run();

  Context& context() { return context_; }
  /// Calls a macro: binds arguments in a new scope below `scope`, returns the text of its body.
  Value call_macro(const MacroDefinition& macro, const std::weak_ptr<Scope>& scope,
                   Arguments& arguments);
  /// Held by everything that may recurse: counts the depth, charges a step, notes the place.
  class Nesting {
   public:
    Nesting(Evaluator& evaluator, Position at);
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    ~Nesting() { --evaluator_.depth_; }

   private:
    Evaluator& evaluator_;
  };

  /// Keeps a namespace until the end: two of them may refer to each other.
  Value adopt(NamespacePtr ns);

 private:
  enum class Flow { Next, Break, Continue };

  Flow execute(const Body& body);
  Flow execute_statement(const Statement& statement);
  Flow execute_node(const Output& node);
  Flow execute_node(const Print& node);
  Flow execute_node(const If& node);
  Flow execute_node(const For& node);
  Flow execute_node(const Set& node);
  Flow execute_node(const SetBlock& node);
  Flow execute_node(const FilterBlock& node);
  Flow execute_node(const With& node);
  Flow execute_node(const std::unique_ptr<const MacroDefinition>& node);
  Flow execute_node(const CallBlock& node);
  Flow execute_node(const Group& node);
  Flow execute_node(const Break& node);
  Flow execute_node(const Continue& node);

  /// Text that `body` writes, kept from the output.
  Text capture(const Body& body, Flow& flow);
  ListPtr select_items(const For& node);
  void assign(const Target& target, Value value);
  std::shared_ptr<Scope> push_scope();

  /// Undefined, under the given name, when no scope has it; `name` must outlive the result.
  Value lookup(std::string_view name) const;
  Value evaluate(const Expression& expression);
  Value evaluate_node(const Literal& node);
  Value evaluate_node(const Name& node);
  Value evaluate_node(const ListDisplay& node);
  Value evaluate_node(const DictDisplay& node);
  Value evaluate_node(const Unary& node);
  Value evaluate_node(const Binary& node);
  Value evaluate_node(const Comparison& node);
  Value evaluate_node(const Conditional& node);
  Value evaluate_node(const Attribute& node);
  Value evaluate_node(const Subscript& node);
  Value evaluate_node(const Slice& node);
  Value evaluate_node(const Call& node);
  Value evaluate_node(const FilterCall& node);
  Value evaluate_node(const TestCall& node);
  Value call(const Call& node, const MacroDefinition* caller);
  Arguments evaluate_arguments(const ArgumentList& list);
  std::optional<Int> evaluate_bound(const ExpressionPtr& bound);

  const Body& body_;
  Context context_;
  std::shared_ptr<Scope> root_;
  std::shared_ptr<Scope> scope_;
  TextBuilder* out_ = nullptr;
  Value block_text_;  ///< operand of the filter chain of a filter or set block
  std::vector<NamespacePtr> namespaces_;
  int depth_ = 0;
};

}  // namespace foretoken::chat::jinja
