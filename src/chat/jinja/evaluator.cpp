// See evaluator.h.
#include "chat/jinja/evaluator.h"

#include <algorithm>
#include <utility>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/to_text.h"

namespace foretoken::chat::jinja {
namespace {

class Macro final : public Callable {
 public:
  Macro(const MacroDefinition& definition, std::weak_ptr<Scope> scope)
      : definition_(definition), scope_(std::move(scope)) {}

  Value call(Evaluator& evaluator, Arguments& arguments) const override {
    return evaluator.call_macro(definition_, scope_, arguments);
  }
  std::string_view name() const override { return definition_.name; }

 private:
  const MacroDefinition& definition_;
  std::weak_ptr<Scope> scope_;  // weak: the scope holds this macro
};

}  // namespace

Evaluator::Nesting::Nesting(Evaluator& evaluator, Position at) : evaluator_(evaluator) {
  Context& context = evaluator.context_;
  context.at = at;
  context.charge_steps();
  if (evaluator.depth_ >= context.limits().max_depth) {
    context.fail_limit("the rendering nests more than " +
                       std::to_string(context.limits().max_depth) + " deep");
  }
  ++evaluator.depth_;
}

Evaluator::Evaluator(const Body& body, const Limits& limits)
    : body_(body), context_(limits), root_(std::make_shared<Scope>()), scope_(root_) {
  for (const Builtin& builtin : builtin_functions()) {
    root_->variables.emplace(builtin.name, make_builtin(builtin));
  }
}

Evaluator::~Evaluator() {
  for (const NamespacePtr& ns : namespaces_) ns->attributes.clear();
}

void Evaluator::define(std::string_view name, Value value) {
  root_->variables.insert_or_assign(name, std::move(value));
}

Text Evaluator::run() {
  TextBuilder out(context_);
  out_ = &out;
  execute(body_);
  return out.take();
}

Value Evaluator::adopt(NamespacePtr ns) {
  context_.charge_bytes(sizeof(Namespace));
  namespaces_.push_back(ns);
  return ns;
}

std::shared_ptr<Scope> Evaluator::push_scope() {
  context_.charge_bytes(sizeof(Scope));
  auto scope = std::make_shared<Scope>();
  scope->parent = scope_;
  return std::exchange(scope_, std::move(scope));
}

// --- statements

Evaluator::Flow Evaluator::execute(const Body& body) {
  for (const Statement& statement : body) {
    const Flow flow = execute_statement(statement);
    if (flow != Flow::Next) return flow;
  }
  return Flow::Next;
}

Evaluator::Flow Evaluator::execute_statement(const Statement& statement) {
  const Nesting nesting(*this, statement.at);
  return std::visit([this](const auto& node) { return execute_node(node); }, statement.node);
}

Evaluator::Flow Evaluator::execute_node(const Output& node) {
  out_->append(node.text, true);
  return Flow::Next;
}

Evaluator::Flow Evaluator::execute_node(const Print& node) {
  append_str(*out_, evaluate(*node.value));
  return Flow::Next;
}

Evaluator::Flow Evaluator::execute_node(const If& node) {
  for (const If::Branch& branch : node.branches) {
    if (branch.condition == nullptr || evaluate(*branch.condition).truthy()) {
      return execute(branch.body);
    }
  }
  return Flow::Next;
}

ListPtr Evaluator::select_items(const For& node) {
  const Value iterable = evaluate(*node.iterable);
  ListPtr all = iterate(context_, iterable);
  if (node.filter == nullptr) return all;
  std::vector<Value> selected;
  for (const Value& item : all->items) {
    const std::shared_ptr<Scope> outer = push_scope();
    assign(node.target, item);
    if (evaluate(*node.filter).truthy()) selected.push_back(item);
    scope_ = outer;
  }
  return *make_list(context_, std::move(selected)).get_if<ListPtr>();
}

Evaluator::Flow Evaluator::execute_node(const For& node) {
  const ListPtr items = select_items(node);
  if (items->items.empty()) return execute(node.otherwise);
  for (std::size_t i = 0; i < items->items.size(); ++i) {
    const std::shared_ptr<Scope> outer = push_scope();
    context_.charge_bytes(sizeof(Loop));
    scope_->variables.insert_or_assign("loop",
                                       LoopPtr(std::make_shared<const Loop>(Loop{items, i})));
    assign(node.target, items->items[i]);
    const Flow flow = execute(node.body);
    scope_ = outer;
    if (flow == Flow::Break) break;
  }
  return Flow::Next;
}

void Evaluator::assign(const Target& target, Value value) {
  context_.charge_bytes(sizeof(Value) * 2);
  if (!target.attribute.empty()) {
    const Value object = lookup(target.names[0]);
    const auto* ns = object.get_if<NamespacePtr>();
    if (ns == nullptr) {
      context_.at = target.at;
      context_.fail("only a namespace's attributes can be set, and '" + target.names[0] +
                    "' is of type " + std::string(object.type_name()));
    }
    (*ns)->attributes.insert_or_assign(target.attribute, std::move(value));
    return;
  }
  if (!target.unpack) {
    scope_->variables.insert_or_assign(target.names[0], std::move(value));
    return;
  }
  const ListPtr parts = iterate(context_, value);
  if (parts->items.size() != target.names.size()) {
    context_.at = target.at;
    context_.fail("cannot unpack " + std::to_string(parts->items.size()) + " values into " +
                  std::to_string(target.names.size()) + " variables");
  }
  for (std::size_t i = 0; i < target.names.size(); ++i) {
    scope_->variables.insert_or_assign(target.names[i], parts->items[i]);
  }
}

Evaluator::Flow Evaluator::execute_node(const Set& node) {
  assign(node.target, evaluate(*node.value));
  return Flow::Next;
}

Text Evaluator::capture(const Body& body, Flow& flow) {
  TextBuilder inner(context_);
  TextBuilder* outer = std::exchange(out_, &inner);
  flow = execute(body);
  out_ = outer;
  return inner.take();
}

Evaluator::Flow Evaluator::execute_node(const SetBlock& node) {
  Flow flow = Flow::Next;
  const std::shared_ptr<Scope> outer = push_scope();
  Value text = make_text(context_, capture(node.body, flow));
  scope_ = outer;
  if (flow != Flow::Next) return flow;
  if (node.filters != nullptr) {
    block_text_ = std::move(text);
    text = evaluate(*node.filters);
  }
  assign(node.target, std::move(text));
  return Flow::Next;
}

Evaluator::Flow Evaluator::execute_node(const FilterBlock& node) {
  Flow flow = Flow::Next;
  const std::shared_ptr<Scope> outer = push_scope();
  Text text = capture(node.body, flow);
  scope_ = outer;
  block_text_ = make_text(context_, std::move(text));
  append_str(*out_, evaluate(*node.filters));
  return flow;
}

Evaluator::Flow Evaluator::execute_node(const With& node) {
  // The values see the outer scope, not each other.
  std::vector<Value> values;
  for (const auto& [target, value] : node.assignments) values.push_back(evaluate(*value));
  const std::shared_ptr<Scope> outer = push_scope();
  for (std::size_t i = 0; i < values.size(); ++i) {
    assign(node.assignments[i].first, std::move(values[i]));
  }
  const Flow flow = execute(node.body);
  scope_ = outer;
  return flow;
}

Evaluator::Flow Evaluator::execute_node(const std::unique_ptr<const MacroDefinition>& node) {
  context_.charge_bytes(sizeof(Macro));
  scope_->variables.insert_or_assign(node->name,
                                     CallablePtr(std::make_shared<const Macro>(*node, scope_)));
  return Flow::Next;
}

Evaluator::Flow Evaluator::execute_node(const CallBlock& node) {
  append_str(*out_, call(std::get<Call>(node.call->node), node.caller.get()));
  return Flow::Next;
}

Evaluator::Flow Evaluator::execute_node(const Group& node) { return execute(node.body); }
Evaluator::Flow Evaluator::execute_node(const Break&) { return Flow::Break; }
Evaluator::Flow Evaluator::execute_node(const Continue&) { return Flow::Continue; }

Value Evaluator::call_macro(const MacroDefinition& macro, const std::weak_ptr<Scope>& defined_in,
                            Arguments& arguments) {
  const std::shared_ptr<Scope> parent = defined_in.lock();
  if (parent == nullptr) {
    context_.fail("the macro '" + macro.name + "' is called after the block that defined it ended");
  }
  const std::size_t n = macro.parameters.size();
  if (arguments.positional.size() > n) {
    context_.fail("the macro '" + macro.name + "' takes at most " + std::to_string(n) +
                  " arguments, not " + std::to_string(arguments.positional.size()));
  }
  const std::shared_ptr<Scope> outer = std::exchange(scope_, parent);
  push_scope();
  scope_->variables.insert_or_assign("caller", Undefined{"caller"});
  scope_->variables.insert_or_assign("loop", Undefined{"loop"});
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    scope_->variables.insert_or_assign(macro.parameters[i].name, arguments.positional[i]);
  }
  std::vector<bool> given(n, false);
  std::fill_n(given.begin(), arguments.positional.size(), true);
  for (const auto& [name, value] : arguments.named) {
    std::size_t i = 0;
    while (i < n && macro.parameters[i].name != name) ++i;
    if (i == n && name != "caller") {
      context_.fail("the macro '" + macro.name + "' has no parameter '" + std::string(name) + "'");
    }
    if (i < n && given[i]) {
      context_.fail("parameter '" + std::string(name) + "' of the macro '" + macro.name +
                    "' is given twice");
    }
    if (i < n) given[i] = true;
    scope_->variables.insert_or_assign(
        i < n ? std::string_view(macro.parameters[i].name) : "caller", value);
  }
  for (std::size_t i = 0; i < n; ++i) {
    const auto& parameter = macro.parameters[i];
    if (given[i]) continue;
    Value value = parameter.fallback != nullptr ? evaluate(*parameter.fallback)
                                                : Value(Undefined{parameter.name});
    scope_->variables.insert_or_assign(parameter.name, std::move(value));
  }
  Flow flow = Flow::Next;
  Value text = make_text(context_, capture(macro.body, flow));
  scope_ = outer;
  return text;
}

// --- expressions

Value Evaluator::evaluate(const Expression& expression) {
  const Nesting nesting(*this, expression.at);
  return std::visit(
      [&](const auto& node) {
        Value value = evaluate_node(node);
        context_.at = expression.at;
        return value;
      },
      expression.node);
}

Value Evaluator::evaluate_node(const Literal& node) { return node.value; }

Value Evaluator::evaluate_node(const Name& node) { return lookup(node.name); }

Value Evaluator::lookup(std::string_view name) const {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    const auto found = scope->variables.find(name);
    if (found != scope->variables.end()) return found->second;
  }
  return Undefined{name};
}

Value Evaluator::evaluate_node(const ListDisplay& node) {
  std::vector<Value> items;
  for (const auto& item : node.items) items.push_back(evaluate(*item));
  return make_list(context_, std::move(items), node.tuple);
}

Value Evaluator::evaluate_node(const DictDisplay& node) {
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key, value] : node.entries) {
    Value k = evaluate(*key);
    entries.emplace_back(std::move(k), evaluate(*value));
  }
  return Dict::make(context_, std::move(entries));
}

Value Evaluator::evaluate_node(const Unary& node) {
  const Position at = context_.at;
  const Value operand = evaluate(*node.operand);
  if (node.op == UnaryOp::Not) return !operand.truthy();
  context_.at = at;
  return apply_sign(context_, node.op, operand);
}

Value Evaluator::evaluate_node(const Binary& node) {
  const Position at = context_.at;
  Value left = evaluate(*node.left);
  if (node.op == BinaryOp::And && !left.truthy()) return left;
  if (node.op == BinaryOp::Or && left.truthy()) return left;
  Value right = evaluate(*node.right);
  if (node.op == BinaryOp::And || node.op == BinaryOp::Or) return right;
  context_.at = at;
  return apply_binary(context_, node.op, left, right);
}

Value Evaluator::evaluate_node(const Comparison& node) {
  const Position at = context_.at;
  Value left = evaluate(*node.first);
  for (const auto& [op, operand] : node.rest) {
    Value right = evaluate(*operand);
    context_.at = at;
    if (!compare(context_, op, left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Evaluator::evaluate_node(const Conditional& node) {
  if (evaluate(*node.condition).truthy()) return evaluate(*node.then);
  return node.otherwise == nullptr ? Value(Undefined{}) : evaluate(*node.otherwise);
}

Value Evaluator::evaluate_node(const Attribute& node) {
  const Position at = context_.at;
  const Value object = evaluate(*node.object);
  context_.at = at;
  return find_attribute(context_, object, node.name);
}

Value Evaluator::evaluate_node(const Subscript& node) {
  const Position at = context_.at;
  const Value object = evaluate(*node.object);
  const Value key = evaluate(*node.key);
  context_.at = at;
  return find_item(context_, object, key);
}

std::optional<Int> Evaluator::evaluate_bound(const ExpressionPtr& bound) {
  if (bound == nullptr) return std::nullopt;
  const Value value = evaluate(*bound);
  if (value.is<None>()) return std::nullopt;
  Int storage = 0;
  const Int* number = find_int(value, storage);
  if (number == nullptr) {
    context_.fail("a slice's bound must be an integer, not " + std::string(value.type_name()));
  }
  return *number;
}

Value Evaluator::evaluate_node(const Slice& node) {
  const Position at = context_.at;
  const Value object = evaluate(*node.object);
  const auto start = evaluate_bound(node.start);
  const auto stop = evaluate_bound(node.stop);
  const auto step = evaluate_bound(node.step);
  context_.at = at;
  return take_slice(context_, object, start, stop, step);
}

Arguments Evaluator::evaluate_arguments(const ArgumentList& list) {
  Arguments arguments;
  for (const auto& value : list.positional) arguments.positional.push_back(evaluate(*value));
  for (const auto& [name, value] : list.named) arguments.named.emplace_back(name, evaluate(*value));
  return arguments;
}

Value Evaluator::evaluate_node(const Call& node) { return call(node, nullptr); }

Value Evaluator::call(const Call& node, const MacroDefinition* caller) {
  const Position at = context_.at;
  const Value callee = evaluate(*node.callee);
  Arguments arguments = evaluate_arguments(node.arguments);
  if (caller != nullptr) {
    arguments.named.emplace_back("caller",
                                 CallablePtr(std::make_shared<const Macro>(*caller, scope_)));
  }
  context_.at = at;
  const auto* callable = callee.get_if<CallablePtr>();
  if (callable == nullptr) {
    const auto* undefined = callee.get_if<Undefined>();
    if (undefined != nullptr && !undefined->name.empty()) {
      context_.fail("'" + std::string(undefined->name) + "' is not defined or not supported here");
    }
    context_.fail("a value of type " + std::string(callee.type_name()) + " cannot be called");
  }
  return (*callable)->call(*this, arguments);
}

Value Evaluator::evaluate_node(const FilterCall& node) {
  const Position at = context_.at;
  const Value operand =
      node.operand == nullptr ? std::exchange(block_text_, Value()) : evaluate(*node.operand);
  const Arguments arguments = evaluate_arguments(node.arguments);
  context_.at = at;
  return apply_filter(*this, node.name, operand, arguments);
}

Value Evaluator::evaluate_node(const TestCall& node) {
  const Position at = context_.at;
  const Value operand = evaluate(*node.operand);
  const Arguments arguments = evaluate_arguments(node.arguments);
  context_.at = at;
  return apply_test(*this, node.name, operand, arguments) != node.negated;
}

}  // namespace foretoken::chat::jinja
