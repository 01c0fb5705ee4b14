// Finds filters by name, and the filters that convert: to text, JSON, numbers, a default.
#include <cmath>
#include <cstdlib>
#include <unordered_map>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/strings.h"
#include "chat/jinja/to_text.h"

namespace foretoken::chat::jinja {
namespace {

Value string_filter(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "string", {});
  if (input.is<TextPtr>()) return input;
  return make_text(evaluator.context(), to_text(evaluator.context(), input));
}

// There is no automatic escaping here, so nothing needs to be declared safe.
Value safe(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  return string_filter(evaluator, input, arguments);
}

Value default_filter(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "default",
                            {"default_value", "boolean"});
  const bool replace_it = input.is<Undefined>() || (args.bool_or(1, false) && !input.truthy());
  if (!replace_it) return input;
  return args.find(0) != nullptr ? *args.find(0) : make_literal(evaluator.context(), "");
}

Value tojson(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "tojson",
                            {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii_only = args.bool_or(0, false);
  style.sort_keys = args.bool_or(3, false);
  if (args.find(1) != nullptr && !args.find(1)->is<None>()) {
    const Int indent = args.int_or(1, 0);
    if (indent < 0 || indent > 64) context.fail("the indent of 'tojson' must be from 0 to 64");
    style.indent = static_cast<int>(indent);
    style.item_separator = ",";
  }
  if (args.find(2) != nullptr && !args.find(2)->is<None>()) {
    const List* pair = args.find(2)->list();
    if (pair == nullptr || pair->items.size() != 2 || !pair->items[0].is<TextPtr>() ||
        !pair->items[1].is<TextPtr>()) {
      context.fail("the separators of 'tojson' must be two strings");
    }
    style.item_separator = pair->items[0].text()->bytes();
    style.key_separator = pair->items[1].text()->bytes();
  }
  TextBuilder out(context);
  append_json(out, input, style);
  return make_text(context, out.take());
}

Value to_int(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "int", {"default"});
  Value fallback = args.find(0) != nullptr ? *args.find(0) : Value(Int{0});
  Int storage = 0;
  if (const Int* i = find_int(input, storage)) return *i;
  double number = 0;
  if (const double* d = input.get_if<double>()) {
    number = *d;
  } else if (const Text* text = input.text()) {
    char* end = nullptr;
    const Range range = trim_range(text->bytes(), Ends::Both, {}, true);
    const std::string digits = text->bytes().substr(range.begin, range.end - range.begin);
    const long long integer = std::strtoll(digits.c_str(), &end, 10);
    const bool whole = !digits.empty() && *end == '\0' && digits.size() < 19;
    if (whole) return static_cast<Int>(integer);
    number = std::strtod(digits.c_str(), &end);
    if (digits.empty() || *end != '\0') return fallback;
  } else {
    return fallback;
  }
  if (!(std::fabs(number) < 1e36)) return fallback;  // also what is not a number
  return static_cast<Int>(number);
}

Value to_float(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "float", {"default"});
  if (is_number(input)) return to_double(input);
  if (const Text* text = input.text()) {
    char* end = nullptr;
    const double number = std::strtod(text->bytes().c_str(), &end);
    if (!text->empty() && *end == '\0') return number;
  }
  return args.find(0) != nullptr ? *args.find(0) : Value(0.0);
}

Value absolute(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "abs", {});
  const bool negative = is_number(input) && to_double(input) < 0;
  return apply_sign(evaluator.context(), negative ? UnaryOp::Negate : UnaryOp::Plus, input);
}

Value round_filter(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "round", {"precision", "method"});
  if (!is_number(input)) context.fail("'round' needs a number");
  const Int precision = args.int_or(0, 0);
  if (precision < -30 || precision > 30) context.fail("'round' goes from -30 to 30 digits");
  const std::string method = args.find_text(1) != nullptr ? args.find_text(1)->bytes() : "common";
  if (method == "common" && precision >= 0 && !input.is<double>()) return input;
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = to_double(input) * scale;
  if (method == "ceil") return std::ceil(scaled) / scale;
  if (method == "floor") return std::floor(scaled) / scale;
  if (method != "common") context.fail("'round' knows the methods common, ceil and floor");
  return std::nearbyint(scaled) / scale;
}

constexpr Filter kConversions[] = {
    {"string", string_filter}, {"safe", safe},     {"default", default_filter},
    {"d", default_filter},     {"tojson", tojson}, {"int", to_int},
    {"float", to_float},       {"abs", absolute},  {"round", round_filter},
};

const Filter* find_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, const Filter*> kByName = [] {
    std::unordered_map<std::string_view, const Filter*> map;
    for (const auto& group :
         {std::span<const Filter>(kConversions), text_filters(), list_filters()}) {
      for (const Filter& filter : group) map.emplace(filter.name, &filter);
    }
    return map;
  }();
  const auto found = kByName.find(name);
  return found == kByName.end() ? nullptr : found->second;
}

}  // namespace

Value apply_filter(Evaluator& evaluator, std::string_view name, const Value& input,
                   const Arguments& arguments) {
  const Evaluator::Nesting nesting(evaluator, evaluator.context().at);
  const Filter* filter = find_filter(name);
  if (filter == nullptr) {
    evaluator.context().fail("the filter '" + std::string(name) + "' is not supported");
  }
  return filter->function(evaluator, input, arguments);
}

}  // namespace foretoken::chat::jinja
