// See dialect_fields.h.
#include "api/dialect_fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/field_reader.h"
#include "api/request_body.h"

namespace foretoken::api {

FieldAt FieldAt::item(std::size_t index) const {
  return {&(*value)[index], fmt::format("{}[{}]", path, index)};
}

void refuse_type(const FieldAt& field, const char* expected) {
  if (field->is_null()) refuse_field(field.path, fmt::format("is required: {}", expected));
  refuse_field(field.path, fmt::format("must be {}, not {}", expected, field->type_name()));
}

const FieldAt& require_object(const FieldAt& field) {
  if (!field->is_object()) refuse_type(field, "an object");
  return field;
}

const FieldAt& require_array(const FieldAt& field) {
  if (!field->is_array()) refuse_type(field, "an array");
  return field;
}

FieldAt member(const FieldAt& object, const char* key) {
  static const Json kNull;
  const Json* value = find_field(*object, key);
  return {value == nullptr ? &kNull : value,
          object.path.empty() ? std::string(key) : fmt::format("{}.{}", object.path, key)};
}

std::string string_or(const FieldAt& object, const char* key, const std::string& fallback) {
  const FieldAt field = member(object, key);
  if (field->is_null()) return fallback;
  if (!field->is_string()) refuse_type(field, "a string");
  return field->get<std::string>();
}

std::string require_string(const FieldAt& object, const char* key) {
  const FieldAt field = member(object, key);
  if (!field->is_string()) refuse_type(field, "a string");
  return field->get<std::string>();
}

bool boolean_or(const FieldAt& object, const char* key, bool fallback) {
  const FieldAt field = member(object, key);
  if (field->is_null()) return fallback;
  if (!field->is_boolean()) refuse_type(field, "true or false");
  return field->get<bool>();
}

Json copy_without(const Json& object, std::initializer_list<std::string_view> keys) {
  Json copy = Json::object();
  for (const auto& [key, value] : object.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) copy[key] = value;
  }
  return copy;
}

}  // namespace foretoken::api
