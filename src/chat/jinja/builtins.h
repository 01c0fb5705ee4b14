// The names a template may use without defining them: functions, filters and tests. Each group is
// a table in a file of its own; what is not in a table fails when it is used, with its place.
#pragma once

#include <span>
#include <string_view>

#include "chat/jinja/evaluator.h"
#include "chat/jinja/value.h"

namespace foretoken::chat::jinja {

struct Builtin {
  std::string_view name;
  Value (*function)(Evaluator& evaluator, const Arguments& arguments);
};
/// range, namespace, dict, raise_exception, strftime_now.
std::span<const Builtin> builtin_functions();
Value make_builtin(const Builtin& builtin);

struct Filter {
  std::string_view name;
  Value (*function)(Evaluator& evaluator, const Value& input, const Arguments& arguments);
};
std::span<const Filter> text_filters();
std::span<const Filter> list_filters();
Value apply_filter(Evaluator& evaluator, std::string_view name, const Value& input,
                   const Arguments& arguments);

/// `value is name(arguments)`.
bool apply_test(Evaluator& evaluator, std::string_view name, const Value& value,
                const Arguments& arguments);

}  // namespace foretoken::chat::jinja
