// Tests: what may stand behind `is`.
// Source: docs/chat-template.md, "Tests"; Jinja 3.1, "List of Builtin Tests".
#include <cmath>
#include <unordered_map>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/unicode.h"

namespace foretoken::chat::jinja {
namespace {

using Plain = bool (*)(const Value&);
using WithOperand = bool (*)(Context&, const Value& value, const Value& operand);

// Jinja asks Python whether iter() or len() and [] work, and they do for undefined values too.
bool is_iterable(const Value& v) {
  return v.is<TextPtr>() || v.is<ListPtr>() || v.is<DictPtr>() || v.is<Undefined>();
}

bool is_true(const Value& v) { return v.is<bool>() && *v.get_if<bool>(); }
bool is_false(const Value& v) { return v.is<bool>() && !*v.get_if<bool>(); }
bool is_integer(const Value& v) { return v.is<Int>(); }

template <bool upper>
bool has_case(const Value& v) {
  const Text* text = v.text();
  if (text == nullptr) return false;
  bool cased = false;
  for (std::size_t at = 0; at < text->size();) {
    const CodePoint point = decode(text->bytes(), at);
    const bool is_upper = point.valid && to_lower(point.value) != point.value;
    const bool is_lower = point.valid && to_upper(point.value) != point.value;
    if (upper ? is_lower : is_upper) return false;
    cased = cased || is_upper || is_lower;
    at += point.size;
  }
  return cased;
}

const std::unordered_map<std::string_view, Plain>& plain_tests() {
  static const std::unordered_map<std::string_view, Plain> kTests = {
      {"defined", [](const Value& v) { return !v.is<Undefined>(); }},
      {"undefined", [](const Value& v) { return v.is<Undefined>(); }},
      {"none", [](const Value& v) { return v.is<None>(); }},
      {"true", is_true},
      {"false", is_false},
      {"boolean", [](const Value& v) { return v.is<bool>(); }},
      {"integer", is_integer},
      {"float", [](const Value& v) { return v.is<double>(); }},
      {"number", is_number},
      {"string", [](const Value& v) { return v.is<TextPtr>(); }},
      {"mapping", [](const Value& v) { return v.is<DictPtr>(); }},
      {"sequence", is_iterable},
      {"iterable", is_iterable},
      {"callable", [](const Value& v) { return v.is<CallablePtr>(); }},
      {"upper", has_case<true>},
      {"lower", has_case<false>},
  };
  return kTests;
}

Int remainder(Context& context, const Value& value, Int divisor) {
  if (divisor == 0) context.fail("division by zero");
  const Value rest = apply_binary(context, BinaryOp::Modulo, value, divisor);
  Int storage = 0;
  const Int* result = find_int(rest, storage);
  return result != nullptr ? *result : (to_double(rest) == 0 ? 0 : -1);
}

bool same(Context&, const Value& a, const Value& b) {
  if (a.is<double>() || b.is<double>()) return false;  // never one object in two places
  return a.data() == b.data();
}

const std::unordered_map<std::string_view, WithOperand>& tests_with_operand() {
  static constexpr auto kCompare = []<CompareOp op>() {
    return +[](Context& c, const Value& a, const Value& b) { return compare(c, op, a, b); };
  };
  constexpr WithOperand kEqual = kCompare.operator()<CompareOp::Equal>();
  constexpr WithOperand kLess = kCompare.operator()<CompareOp::Less>();
  constexpr WithOperand kGreater = kCompare.operator()<CompareOp::Greater>();
  static const std::unordered_map<std::string_view, WithOperand> kTests = {
      {"eq", kEqual},
      {"equalto", kEqual},
      {"ne", kCompare.operator()<CompareOp::NotEqual>()},
      {"lt", kLess},
      {"lessthan", kLess},
      {"le", kCompare.operator()<CompareOp::LessEqual>()},
      {"gt", kGreater},
      {"greaterthan", kGreater},
      {"ge", kCompare.operator()<CompareOp::GreaterEqual>()},
      {"in", kCompare.operator()<CompareOp::In>()},
      {"sameas", same},
      {"divisibleby",
       [](Context& c, const Value& a, const Value& b) {
         Int storage = 0;
         const Int* divisor = find_int(b, storage);
         if (divisor == nullptr) c.fail("'divisibleby' needs an integer");
         return remainder(c, a, *divisor) == 0;
       }},
  };
  return kTests;
}

}  // namespace

bool apply_test(Evaluator& evaluator, std::string_view name, const Value& value,
                const Arguments& arguments) {
  Context& context = evaluator.context();
  const Evaluator::Nesting nesting(evaluator, context.at);
  if (const auto plain = plain_tests().find(name); plain != plain_tests().end()) {
    const ArgumentReader args(context, arguments, name, {});
    if (const Text* text = value.text()) context.charge_scan(text->size());
    return plain->second(value);
  }
  if (const auto test = tests_with_operand().find(name); test != tests_with_operand().end()) {
    const ArgumentReader args(context, arguments, name, {"other"});
    return test->second(context, value, args.require(0));
  }
  if (name == "odd" || name == "even") {
    const ArgumentReader args(context, arguments, name, {});
    return remainder(context, value, 2) == (name == "odd" ? 1 : 0);
  }
  context.fail("the test '" + std::string(name) + "' is not supported");
}

}  // namespace foretoken::chat::jinja
