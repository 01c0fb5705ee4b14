// Values of tool arguments, which the family writes without JSON's quotes. See json_schema.h and
// docs/chat-template.md, "Arguments".
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "grammar/json_schema.h"

namespace foretoken::grammar {
namespace {

constexpr int kMaxChoices = 16;

}  // namespace

std::optional<ExprId> SchemaConverter::plain_value(const Json& schema, const std::string& path) {
  std::vector<ExprId> options;
  if (!add_plain(schema, path, 0, options) || options.empty()) return std::nullopt;
  return rules_.choice(std::move(options));
}

/// Adds the texts of `schema`; false when any text will do.
bool SchemaConverter::add_plain(const Json& schema, Path path, int depth,
                                std::vector<ExprId>& options) {
  budget_.spend(1, path);
  if (!schema.is_object() || depth > kMaxChoices) return false;
  if (const Json* reference = find_member(schema, "$ref")) {
    return add_plain(merger_.resolve(*reference, path), path + "/$ref", depth + 1, options);
  }
  if (schema.contains("allOf")) {
    return add_plain(merger_.merged_all_of(schema, path), path, depth + 1, options);
  }
  for (const char* key : {"oneOf", "anyOf"}) {
    if (!schema.contains(key)) continue;
    const auto choices = merger_.alternatives(schema, key, path);
    return std::ranges::all_of(choices, [&](const SchemaMerger::Alternative& choice) {
      return add_plain(choice.schema, choice.path, depth + 1, options);
    });
  }
  if (const Json* value = find_member(schema, "const")) return add_plain_constant(*value, options);
  if (const Json* values = find_member(schema, "enum"); values != nullptr && values->is_array()) {
    budget_.spend(values->size(), path);
    return std::ranges::all_of(
        *values, [&](const Json& value) { return add_plain_constant(value, options); });
  }
  const Json* type = find_member(schema, "type");
  if (type == nullptr) {
    // Nothing is said of its type: the parser takes such an argument as text.
    return false;
  }
  const Json types = type->is_array() ? *type : Json::array({*type});
  return std::ranges::all_of(types, [&](const Json& one) {
    return one.is_string() && add_plain_typed(schema, one.get<std::string>(), path, options);
  });
}

bool SchemaConverter::add_plain_typed(const Json& schema, std::string_view type, Path path,
                                      std::vector<ExprId>& options) {
  if (type == "string") {
    if (const Json* pattern = find_member(schema, "pattern"); pattern && pattern->is_string()) {
      const auto& text = pattern->get_ref<const std::string&>();
      budget_.spend(text.size() / 16 + 1, path);
      const auto expr = pattern_text(rules_, text, TextStyle::Plain);
      if (expr) options.push_back(*expr);
      return expr.has_value();
    }
    const auto format = format_text(schema);
    if (format) options.push_back(*format);
    return format.has_value();
  }
  if (type == "boolean" || type == "null") {
    for (const char* spelling : {"true", "True", "false", "False"}) {
      if (type == "boolean") options.push_back(rules_.literal(spelling));
    }
    for (const char* spelling : {"null", "None"}) {
      if (type == "null") options.push_back(rules_.literal(spelling));
    }
    return true;
  }
  options.push_back(convert_typed(schema, type, path));
  return true;
}

bool SchemaConverter::add_plain_constant(const Json& value, std::vector<ExprId>& options) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    // Could not be told from the end of the argument.
    if (text.find("</parameter>") != std::string::npos) return false;
    options.push_back(rules_.literal(text));
    return true;
  }
  options.push_back(constant(value));
  if (value.is_boolean()) options.push_back(rules_.literal(value == true ? "True" : "False"));
  if (value.is_null()) options.push_back(rules_.literal("None"));
  return true;
}

}  // namespace foretoken::grammar
