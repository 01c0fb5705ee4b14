// See operators.h.
#include "chat/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "chat/jinja/to_text.h"
#include "chat/jinja/unicode.h"

namespace foretoken::chat::jinja {
namespace {

std::string_view symbol(BinaryOp op) {
  switch (op) {
    case BinaryOp::Or:
      return "or";
    case BinaryOp::And:
      return "and";
    case BinaryOp::Add:
      return "+";
    case BinaryOp::Subtract:
      return "-";
    case BinaryOp::Multiply:
      return "*";
    case BinaryOp::Divide:
      return "/";
    case BinaryOp::FloorDivide:
      return "//";
    case BinaryOp::Modulo:
      return "%";
    case BinaryOp::Power:
      return "**";
    case BinaryOp::Concat:
      return "~";
  }
  return "";
}

[[noreturn]] void fail_overflow(Context& context) {
  context.fail("the result is too large an integer");
}

std::string describe(const Value& value) {
  if (const auto* undefined = value.get_if<Undefined>(); undefined && !undefined->name.empty()) {
    return "'" + std::string(undefined->name) + "', which is undefined";
  }
  return std::string(value.type_name());
}

Int floor_divide(Context& context, Int a, Int b) {
  if (b == -1) {
    Int result = 0;
    if (__builtin_sub_overflow(Int{0}, a, &result)) fail_overflow(context);
    return result;
  }
  const Int quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Int power(Context& context, Int base, Int exponent) {
  Int result = 1;
  while (exponent > 0) {
    if (exponent % 2 == 1 && __builtin_mul_overflow(result, base, &result)) fail_overflow(context);
    exponent /= 2;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow(context);
  }
  return result;
}

Value apply_int(Context& context, BinaryOp op, Int a, Int b) {
  const bool divides =
      op == BinaryOp::Divide || op == BinaryOp::FloorDivide || op == BinaryOp::Modulo;
  if (divides && b == 0) context.fail("division by zero");
  Int result = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOp::Add:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case BinaryOp::Subtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case BinaryOp::Multiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case BinaryOp::Divide:
      return static_cast<double>(a) / static_cast<double>(b);
    case BinaryOp::FloorDivide:
      return floor_divide(context, a, b);
    case BinaryOp::Modulo:
      if (b == -1) return Int{0};
      result = a % b;
      if (result != 0 && (result < 0) != (b < 0)) result += b;
      break;
    case BinaryOp::Power:
      if (b < 0) return std::pow(static_cast<double>(a), static_cast<double>(b));
      return power(context, a, b);
    case BinaryOp::Or:
    case BinaryOp::And:
    case BinaryOp::Concat:
      break;
  }
  if (overflow) fail_overflow(context);
  return result;
}

Value apply_float(Context& context, BinaryOp op, double a, double b) {
  const bool divides =
      op == BinaryOp::Divide || op == BinaryOp::FloorDivide || op == BinaryOp::Modulo;
  if (divides && b == 0) context.fail("division by zero");
  switch (op) {
    case BinaryOp::Add:
      return a + b;
    case BinaryOp::Subtract:
      return a - b;
    case BinaryOp::Multiply:
      return a * b;
    case BinaryOp::Divide:
      return a / b;
    case BinaryOp::FloorDivide:
      return std::floor(a / b);
    case BinaryOp::Modulo: {
      const double rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    case BinaryOp::Power:
      return std::pow(a, b);
    case BinaryOp::Or:
    case BinaryOp::And:
    case BinaryOp::Concat:
      break;
  }
  return a;
}

Value repeat(Context& context, const Value& value, Int count) {
  if (const Text* text = value.text()) {
    TextBuilder out(context);
    if (text->empty()) return value;
    for (Int i = 0; i < count; ++i) out.append(*text);
    return make_text(context, out.take());
  }
  const List& list = *value.list();
  std::vector<Value> items;
  if (list.items.empty()) return value;
  for (Int i = 0; i < count; ++i) {
    context.charge_bytes(list.items.size() * sizeof(Value));
    items.insert(items.end(), list.items.begin(), list.items.end());
  }
  return make_list(context, std::move(items), list.tuple);
}

bool repeatable(const Value& value) { return value.is<TextPtr>() || value.is<ListPtr>(); }

Value add_sequences(Context& context, const Value& left, const Value& right) {
  if (left.is<TextPtr>()) {
    TextBuilder out(context);
    out.append(*left.text());
    out.append(*right.text());
    return make_text(context, out.take());
  }
  std::vector<Value> items;
  for (const Value* side : {&left, &right}) {
    const auto& more = side->list()->items;
    context.charge_bytes(more.size() * sizeof(Value));
    items.insert(items.end(), more.begin(), more.end());
  }
  return make_list(context, std::move(items), left.list()->tuple);
}

/// Index into n members, negative from the end; nothing if out of range.
std::optional<std::size_t> find_index(const Value& key, std::size_t n) {
  Int storage = 0;
  const Int* index = find_int(key, storage);
  if (index == nullptr) return std::nullopt;
  const Int at = *index < 0 ? *index + static_cast<Int>(n) : *index;
  if (at < 0 || at >= static_cast<Int>(n)) return std::nullopt;
  return static_cast<std::size_t>(at);
}

std::optional<Value> find_loop_attribute(const Loop& loop, std::string_view name) {
  const std::size_t n = loop.items->items.size();
  const auto number = [](std::size_t i) { return Value(static_cast<Int>(i)); };
  if (name == "index") return number(loop.index0 + 1);
  if (name == "index0") return number(loop.index0);
  if (name == "revindex") return number(n - loop.index0);
  if (name == "revindex0") return number(n - loop.index0 - 1);
  if (name == "first") return Value(loop.index0 == 0);
  if (name == "last") return Value(loop.index0 + 1 == n);
  if (name == "length") return number(n);
  if (name == "depth") return Value(Int{1});  // counts recursive loops, which there are none of
  if (name == "depth0") return Value(Int{0});
  if (name == "previtem") {
    return loop.index0 == 0 ? Value(Undefined{"loop.previtem"})
                            : loop.items->items[loop.index0 - 1];
  }
  if (name == "nextitem") {
    return loop.index0 + 1 == n ? Value(Undefined{"loop.nextitem"})
                                : loop.items->items[loop.index0 + 1];
  }
  return std::nullopt;
}

[[noreturn]] void fail_undefined(Context& context, const Value& value, const std::string& wanted) {
  const std::string_view name = value.get_if<Undefined>()->name;
  context.fail((name.empty() ? std::string("a value") : "'" + std::string(name) + "'") +
               " is undefined, so it has no " + wanted);
}

}  // namespace

Value apply_binary(Context& context, BinaryOp op, const Value& left, const Value& right) {
  if (op == BinaryOp::Concat) {
    TextBuilder out(context);
    append_str(out, left);
    append_str(out, right);
    return make_text(context, out.take());
  }
  if (is_number(left) && is_number(right)) {
    Int a_store = 0;
    Int b_store = 0;
    const Int* a = find_int(left, a_store);
    const Int* b = find_int(right, b_store);
    if (a != nullptr && b != nullptr) return apply_int(context, op, *a, *b);
    return apply_float(context, op, to_double(left), to_double(right));
  }
  if (op == BinaryOp::Add &&
      ((left.is<TextPtr>() && right.is<TextPtr>()) ||
       (left.is<ListPtr>() && right.is<ListPtr>() && left.list()->tuple == right.list()->tuple))) {
    return add_sequences(context, left, right);
  }
  if (op == BinaryOp::Multiply) {
    Int storage = 0;
    if (const Int* n = find_int(right, storage); n != nullptr && repeatable(left)) {
      return repeat(context, left, *n);
    }
    if (const Int* n = find_int(left, storage); n != nullptr && repeatable(right)) {
      return repeat(context, right, *n);
    }
  }
  context.fail("'" + std::string(symbol(op)) + "' does not apply to " + describe(left) + " and " +
               describe(right));
}

Value apply_sign(Context& context, UnaryOp op, const Value& operand) {
  if (!is_number(operand)) context.fail("a sign does not apply to " + describe(operand));
  if (const double* d = operand.get_if<double>()) return op == UnaryOp::Negate ? -*d : *d;
  Int storage = 0;
  const Int value = *find_int(operand, storage);
  if (op != UnaryOp::Negate) return value;
  return apply_int(context, BinaryOp::Subtract, 0, value);
}

bool compare(Context& context, CompareOp op, const Value& left, const Value& right) {
  switch (op) {
    case CompareOp::Equal:
      return equal(context, left, right);
    case CompareOp::NotEqual:
      return !equal(context, left, right);
    case CompareOp::Less:
      return less(context, left, right);
    case CompareOp::Greater:
      return less(context, right, left);
    // Not the negations of the strict ones: a NaN compares false both ways.
    case CompareOp::LessEqual:
      return less(context, left, right) || equal(context, left, right);
    case CompareOp::GreaterEqual:
      return less(context, right, left) || equal(context, left, right);
    case CompareOp::In:
      return contains(context, left, right);
    case CompareOp::NotIn:
      return !contains(context, left, right);
  }
  return false;
}

bool contains(Context& context, const Value& left, const Value& right) {
  if (const Text* text = right.text()) {
    const Text* part = left.text();
    if (part == nullptr) context.fail("'in' a string needs a string, not " + describe(left));
    context.charge_scan(text->size());
    return text->bytes().find(part->bytes()) != std::string::npos;
  }
  if (const Dict* dict = right.dict()) return dict->find(context, left) != nullptr;
  if (const List* list = right.list()) {
    return std::any_of(list->items.begin(), list->items.end(),
                       [&](const Value& item) { return equal(context, item, left); });
  }
  if (right.is<Undefined>()) return false;
  context.fail("'in' does not apply to " + describe(right));
}

Value find_attribute(Context& context, const Value& value, std::string_view name) {
  if (value.is<Undefined>()) {
    fail_undefined(context, value, "attribute '" + std::string(name) + "'");
  }
  if (auto method = find_method(context, value, name)) return *std::move(method);
  if (const Dict* dict = value.dict()) {
    if (const Value* found = dict->find(name)) return *found;
  } else if (const auto* ns = value.get_if<NamespacePtr>()) {
    const auto found = (*ns)->attributes.find(std::string(name));
    if (found != (*ns)->attributes.end()) return found->second;
  } else if (const auto* loop = value.get_if<LoopPtr>()) {
    if (auto found = find_loop_attribute(**loop, name)) return *std::move(found);
  }
  return Undefined{name};
}

Value find_item(Context& context, const Value& value, const Value& key) {
  if (value.is<Undefined>()) fail_undefined(context, value, "items");
  if (const Dict* dict = value.dict()) {
    if (const Value* found = dict->find(context, key)) return *found;
  } else if (const List* list = value.list()) {
    if (const auto index = find_index(key, list->items.size())) return list->items[*index];
  } else if (const Text* text = value.text()) {
    if (is_number(key)) {
      if (const auto index = find_index(key, length(context, value))) {
        const std::size_t at = character_offset(text->bytes(), *index);
        return make_text(context, text->slice(at, at + decode(text->bytes(), at).size));
      }
    }
  }
  if (const Text* name = key.text()) {
    Value found = find_attribute(context, value, name->bytes());
    if (!found.is<Undefined>()) return found;
  }
  return Undefined{};  // without a name: the key may die before the result
}

Value take_slice(Context& context, const Value& value, std::optional<Int> start,
                 std::optional<Int> stop, std::optional<Int> step) {
  const Text* text = value.text();
  const List* list = value.list();
  if (text == nullptr && list == nullptr) context.fail(describe(value) + " cannot be sliced");
  const Int n = static_cast<Int>(length(context, value));
  const Int stride = step.value_or(1);
  if (stride == 0) context.fail("a slice's step cannot be zero");
  // Python's rule: bounds count from the end when negative and are clamped to what can be reached.
  const Int low = stride > 0 ? 0 : -1;
  const Int high = stride > 0 ? n : n - 1;
  const auto bound = [&](std::optional<Int> given, Int fallback) {
    if (!given) return fallback;
    return std::clamp(*given < 0 ? *given + n : *given, low, high);
  };
  const Int first = bound(start, stride > 0 ? low : high);
  const Int last = bound(stop, stride > 0 ? high : low);
  if (text != nullptr && stride == 1) {
    const std::size_t begin = character_offset(text->bytes(), static_cast<std::size_t>(first));
    const std::size_t end = character_offset(text->bytes(), static_cast<std::size_t>(last));
    return make_text(context, text->slice(begin, std::max(begin, end)));
  }
  const ListPtr members = iterate(context, value);
  std::vector<Value> taken;
  // A step beyond the length takes one member at most; bounding it keeps i from overflowing.
  const Int hop = std::clamp(stride, -n - 1, n + 1);
  for (Int i = first; stride > 0 ? i < last : i > last; i += hop) {
    context.charge_steps();
    taken.push_back(members->items[static_cast<std::size_t>(i)]);
  }
  if (list != nullptr) return make_list(context, std::move(taken), list->tuple);
  TextBuilder out(context);
  for (const Value& character : taken) out.append(*character.text());
  return make_text(context, out.take());
}

std::size_t length(Context& context, const Value& value) {
  if (const List* list = value.list()) return list->items.size();
  if (const Dict* dict = value.dict()) return dict->entries().size();
  if (const Text* text = value.text()) {
    context.charge_scan(text->size());
    return count_characters(text->bytes());
  }
  if (value.is<Undefined>()) return 0;
  context.fail(describe(value) + " has no length");
}

}  // namespace foretoken::chat::jinja
