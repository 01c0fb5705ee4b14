// What operators do to values, with Python's rules: arithmetic, concatenation, comparison,
// membership, attribute and item look-up, slices. All fail with the current place when the types
// do not fit.
#pragma once

#include <optional>
#include <string_view>

#include "chat/jinja/ast.h"
#include "chat/jinja/value.h"

namespace foretoken::chat::jinja {

/// Every binary operator but `and` and `or`, whose right side may stay unevaluated.
Value apply_binary(Context& context, BinaryOp op, const Value& left, const Value& right);
Value apply_sign(Context& context, UnaryOp op, const Value& operand);
bool compare(Context& context, CompareOp op, const Value& left, const Value& right);
/// left in right: substring, key or member.
bool contains(Context& context, const Value& left, const Value& right);

/// value.name: a method or attribute, else an entry of that key, else undefined.
/// `name` must live as long as the result.
Value find_attribute(Context& context, const Value& value, std::string_view name);
/// value[key]: an entry, else (for a string key) an attribute, else undefined.
Value find_item(Context& context, const Value& value, const Value& key);
/// value[start:stop:step] of a list or string.
Value take_slice(Context& context, const Value& value, std::optional<Int> start,
                 std::optional<Int> stop, std::optional<Int> step);

/// Characters, members or entries; 0 for undefined; fails for the rest.
std::size_t length(Context& context, const Value& value);

/// The method `name` of a string, list or mapping, bound to it; nothing if there is none.
std::optional<Value> find_method(Context& context, const Value& receiver, std::string_view name);

}  // namespace foretoken::chat::jinja
