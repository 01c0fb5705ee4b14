// See json_schema.h; objects are in json_object.cpp, plain values in json_plain.cpp.
#include "grammar/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "grammar/constraints.h"
#include "grammar/gbnf.h"

namespace foretoken::grammar {
namespace {

// References, allOf and choices are followed by recursion.
constexpr int kMaxDepth = 200;

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw RequestError(fmt::format("JSON schema, {}: {}", path, what));
}

std::uint32_t count_of(const Json& schema, const char* key, std::uint32_t otherwise,
                       const std::string& path) {
  const Json* value = find_member(schema, key);
  if (value == nullptr) return otherwise;
  const bool whole =
      value->is_number_integer() ||
      (value->is_number_float() && value->get<double>() == std::floor(value->get<double>()));
  if (!whole || *value < 0) refuse(path + "/" + key, "expected a number, 0 or more");
  return *value > kMaxRepeat ? kMaxRepeat + 1 : value->get<std::uint32_t>();
}

std::optional<std::int64_t> bound_of(const Json& schema, const char* key, bool round_up,
                                     const std::string& path) {
  const Json* value = find_member(schema, key);
  if (value == nullptr || value->is_boolean()) return std::nullopt;
  if (!value->is_number()) refuse(path + "/" + key, "expected a number");
  if (value->is_number_unsigned() && *value > std::numeric_limits<std::int64_t>::max()) {
    return std::numeric_limits<std::int64_t>::max();
  }
  if (value->is_number_integer()) return value->get<std::int64_t>();
  const double d = round_up ? std::ceil(value->get<double>()) : std::floor(value->get<double>());
  constexpr double kFar = 9.2e18;  // inside the type's range
  return static_cast<std::int64_t>(std::clamp(d, -kFar, kFar));
}

bool is_true(const Json& schema, const char* key) {
  const Json* value = find_member(schema, key);
  return value != nullptr && *value == true;
}

std::string rule_name(std::string_view path) {
  std::string name;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain) name += c;
    if (!plain && !name.empty() && name.back() != '-') name += '-';
  }
  return name.empty() ? "schema" : name.substr(0, 80);
}

}  // namespace

SchemaConverter::SchemaConverter(Rules& rules, const Json& root, SchemaBudget& budget,
                                 std::string name)
    : rules_(rules), root_(root), budget_(budget), merger_(root, budget), name_(std::move(name)) {}

ExprId SchemaConverter::json_document() {
  check_schema_size(root_, name_);
  return json_value(root_, name_);
}

ExprId SchemaConverter::json_value(const Json& schema, const std::string& path) {
  if (++depth_ > kMaxDepth) refuse(path, "the schema unfolds too deep");
  const ExprId value = convert(schema, path);
  --depth_;
  return value;
}

ExprId SchemaConverter::convert(const Json& schema, Path path) {
  budget_.spend(1, path);
  if (schema == true) return named("value");
  if (!schema.is_object()) {
    refuse(path, fmt::format("expected an object or true, found {}",
                             schema.is_boolean() ? "false" : schema.type_name()));
  }
  // As in llama.cpp, what stands beside a reference does not count.
  if (const Json* reference = find_member(schema, "$ref")) {
    return convert_reference(*reference, path + "/$ref");
  }
  if (schema.contains("allOf")) return json_value(merger_.merged_all_of(schema, path), path);
  for (const char* key : {"oneOf", "anyOf"}) {
    if (schema.contains(key)) return convert_choice(schema, key, path);
  }
  if (const Json* value = find_member(schema, "const")) return constant(*value);
  if (const Json* values = find_member(schema, "enum")) {
    if (!values->is_array() || values->empty()) refuse(path + "/enum", "expected a list of values");
    std::vector<ExprId> options;
    for (const Json& value : *values) options.push_back(constant(value));
    budget_.spend(options.size(), path);
    return rules_.choice(std::move(options));
  }
  return convert_types(schema, path);
}

ExprId SchemaConverter::constant(const Json& value) {
  return rules_.literal(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

ExprId SchemaConverter::convert_reference(const Json& reference, Path path) {
  const Json& target = merger_.resolve(reference, path);
  const auto [found, is_new] = references_.try_emplace(&target, 0);
  if (!is_new) return rules_.rule(found->second);
  const std::string target_path = name_ + reference.get<std::string>().substr(1);
  const RuleId rule = rules_.declare_new(rule_name(target_path));
  references_[&target] = rule;
  rules_.define(rule, json_value(target, target_path));
  return rules_.rule(rule);
}

ExprId SchemaConverter::convert_choice(const Json& schema, const char* key, Path path) {
  std::vector<ExprId> options;
  for (const auto& [choice, choice_path] : merger_.alternatives(schema, key, path)) {
    options.push_back(json_value(choice, choice_path));
  }
  return rules_.choice(std::move(options));
}

/// A schema without choices and constants: by its type or types, or by its keywords.
ExprId SchemaConverter::convert_types(const Json& schema, Path path) {
  const Json* type = find_member(schema, "type");
  if (type != nullptr && type->is_array()) {
    if (type->empty()) refuse(path + "/type", "expected at least one type");
    std::vector<ExprId> options;
    for (const Json& one : *type) {
      if (!one.is_string()) refuse(path + "/type", "expected names of types");
      options.push_back(convert_typed(schema, one.get<std::string>(), path));
    }
    return rules_.choice(std::move(options));
  }
  if (type != nullptr) {
    if (!type->is_string()) refuse(path + "/type", "expected a name or a list of names");
    return convert_typed(schema, type->get<std::string>(), path);
  }
  const auto any_of = [&](std::initializer_list<const char*> keys) {
    return std::ranges::any_of(keys, [&](const char* key) { return schema.contains(key); });
  };
  if (any_of({"properties", "required", "additionalProperties"})) {
    return convert_object(schema, path);
  }
  if (any_of({"items", "prefixItems", "minItems", "maxItems"})) return convert_array(schema, path);
  if (any_of({"pattern", "minLength", "maxLength"})) return convert_string(schema, path);
  return named("value");
}

ExprId SchemaConverter::convert_typed(const Json& schema, std::string_view type, Path path) {
  budget_.spend(1, path);
  if (type == "object") return convert_object(schema, path);
  if (type == "array") return convert_array(schema, path);
  if (type == "string") return convert_string(schema, path);
  if (type == "integer") return convert_integer(schema, path);
  if (type == "number" || type == "boolean" || type == "null") return named(type);
  refuse(path + "/type",
         fmt::format("unknown type \"{}\"; known are object, array, string, integer, number, "
                     "boolean, null",
                     type.substr(0, 100)));
}

ExprId SchemaConverter::convert_array(const Json& schema, Path path) {
  const std::uint32_t min = count_of(schema, "minItems", 0, path);
  const std::uint32_t max = count_of(schema, "maxItems", kUnbounded, path);
  if (min > max) refuse(path, "minItems is above maxItems");
  const Json* items = find_member(schema, "items");
  const Json* tuple = find_member(schema, "prefixItems");
  std::string tuple_key = "/prefixItems/";
  if (tuple == nullptr && items != nullptr && items->is_array()) {
    std::swap(tuple, items);  // as drafts before 2020 wrote it
    tuple_key = "/items/";
  }
  if (tuple != nullptr && !tuple->is_array()) refuse(path + "/prefixItems", "expected a list");
  const ExprId comma = rules_.sequence({rules_.literal(","), named("space")});
  std::vector<ExprId> parts = {rules_.literal("["), named("space")};
  if (tuple != nullptr && !tuple->empty()) {
    for (std::size_t i = 0; i < tuple->size(); ++i) {
      if (i > 0) parts.push_back(comma);
      parts.push_back(json_value((*tuple)[i], path + tuple_key + std::to_string(i)));
    }
    const auto n = static_cast<std::uint32_t>(tuple->size());
    const bool open = items != nullptr && *items != false && max > n;
    if (open) {
      const ExprId item = json_value(*items, path + "/items");
      parts.push_back(rules_.repeat(rules_.sequence({comma, item}), min > n ? min - n : 0,
                                    max == kUnbounded ? max : max - n));
    }
  } else if (max > 0) {
    const ExprId item = items == nullptr ? named("value") : json_value(*items, path + "/items");
    const ExprId more = rules_.repeat(rules_.sequence({comma, item}), min > 0 ? min - 1 : 0,
                                      max == kUnbounded ? max : max - 1);
    const ExprId list = rules_.sequence({item, more});
    parts.push_back(min == 0 ? rules_.optional(list) : list);
  }
  parts.push_back(named("space"));
  parts.push_back(rules_.literal("]"));
  return rules_.sequence(std::move(parts));
}

ExprId SchemaConverter::convert_string(const Json& schema, Path path) {
  const ExprId quote = rules_.literal("\"");
  if (const Json* pattern = find_member(schema, "pattern")) {
    if (!pattern->is_string()) refuse(path + "/pattern", "expected a string");
    budget_.spend(pattern->get_ref<const std::string&>().size() / 16 + 1, path);
    const auto text = pattern_text(rules_, pattern->get<std::string>(), TextStyle::JsonString);
    return text ? rules_.sequence({quote, *text, quote}) : named("string");
  }
  if (const auto format = format_text(schema)) return rules_.sequence({quote, *format, quote});
  const std::uint32_t min = count_of(schema, "minLength", 0, path);
  const std::uint32_t max = count_of(schema, "maxLength", kUnbounded, path);
  if (min > max) refuse(path, "minLength is above maxLength");
  if (min > kMaxRepeat) refuse(path + "/minLength", fmt::format("the limit is {}", kMaxRepeat));
  if (min == 0 && max == kUnbounded) return named("string");
  return rules_.sequence({quote, rules_.repeat(named("char"), min, max), quote});
}

/// A string's format, where it is one of those that are kept.
std::optional<ExprId> SchemaConverter::format_text(const Json& schema) {
  const Json* format = find_member(schema, "format");
  if (format == nullptr) return std::nullopt;
  for (const char* known : {"date", "time", "date-time", "uuid"}) {
    if (*format == known) return named(known);
  }
  return std::nullopt;
}

ExprId SchemaConverter::convert_integer(const Json& schema, Path path) {
  auto min = bound_of(schema, "minimum", true, path);
  auto max = bound_of(schema, "maximum", false, path);
  constexpr std::int64_t kFar = std::int64_t{1} << 62;
  // Draft 4 wrote exclusiveMinimum as a flag on minimum.
  if (min && *min < kFar && is_true(schema, "exclusiveMinimum")) ++*min;
  if (max && *max > -kFar && is_true(schema, "exclusiveMaximum")) --*max;
  if (const auto above = bound_of(schema, "exclusiveMinimum", false, path);
      above && *above < kFar) {
    min = std::max(min.value_or(*above + 1), *above + 1);
  }
  if (const auto below = bound_of(schema, "exclusiveMaximum", true, path);
      below && *below > -kFar) {
    max = std::min(max.value_or(*below - 1), *below - 1);
  }
  if (!min && !max) return named("integer");
  if (min && max && *min > *max) refuse(path, "no integer lies between its bounds");
  budget_.spend(20, path);
  return integer_range(rules_, min, max);
}

std::string json_schema_to_gbnf(const nlohmann::ordered_json& schema) {
  Rules rules;
  add_json_rules(rules);
  SchemaBudget budget;
  const Json any_object = Json::object({{"type", "object"}});
  const Json& document = schema.is_null() ? any_object : schema;
  const ExprId value = SchemaConverter(rules, document, budget, "#").json_document();
  const RuleId root = rules.declare("root");
  rules.define(root, value);
  refuse_left_recursion(rules);
  return to_gbnf(rules, root);
}

}  // namespace foretoken::grammar
