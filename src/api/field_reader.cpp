// See field_reader.h.
#include "api/field_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "api/request_body.h"
#include "base/error.h"
#include "base/text.h"

namespace foretoken::api {

void refuse_field(std::string_view name, const std::string& reason) {
  throw RequestError(fmt::format("Field '{}': {}", name, reason));
}

FieldReader::Found FieldReader::find(Names names) const {
  for (const std::string_view name : names) {
    if (const Json* value = find_field(body_, name)) return {value, name};
  }
  return {};
}

void FieldReader::remark_wrong_type(std::string_view name, const Json& value,
                                    const char* expected) const {
  context_.remark(LogLevel::Warning,
                  fmt::format("request field {} is ignored: {} expected, {} found", quoted(name),
                              expected, value.type_name()));
}

bool FieldReader::boolean(Names names, bool fallback) const {
  const Found found = find(names);
  if (found.value == nullptr) return fallback;
  if (found.value->is_boolean()) return found.value->get<bool>();
  if (found.value->is_number_integer()) return *found.value != 0;
  remark_wrong_type(found.name, *found.value, "true or false");
  return fallback;
}

std::int64_t FieldReader::integer(Names names, std::int64_t fallback, std::int64_t min,
                                  std::int64_t max) const {
  const Found found = find(names);
  if (found.value == nullptr) return fallback;
  const Json& value = *found.value;
  double wide = 0.0;  // exact up to 2^53, and only compared with the bounds beyond
  if (value.is_boolean()) {
    wide = value.get<bool>() ? 1.0 : 0.0;
  } else if (value.is_number()) {
    wide = std::trunc(value.get<double>());
  } else {
    remark_wrong_type(found.name, value, "a whole number");
    return fallback;
  }
  if (!(wide >= static_cast<double>(min) && wide <= static_cast<double>(max))) {
    refuse_field(found.name, fmt::format("Value must be between {} <= value <= {}, but got {}", min,
                                         max, value.dump()));
  }
  // The largest bounds are not exact in double: 2^63 passes for 2^63 - 1.
  if (wide >= 9223372036854775807.0) return max;
  return static_cast<std::int64_t>(wide);
}

float FieldReader::number(Names names, float fallback, float min, float max) const {
  const Found found = find(names);
  if (found.value == nullptr) return fallback;
  if (!found.value->is_number()) {
    remark_wrong_type(found.name, *found.value, "a number");
    return fallback;
  }
  const double value = found.value->get<double>();
  return static_cast<float>(std::clamp(value, static_cast<double>(min), static_cast<double>(max)));
}

std::string FieldReader::text(Names names, const std::string& fallback) const {
  const Found found = find(names);
  if (found.value == nullptr) return fallback;
  if (found.value->is_string()) return found.value->get<std::string>();
  remark_wrong_type(found.name, *found.value, "a string");
  return fallback;
}

std::optional<std::vector<std::string>> FieldReader::texts(Names names) const {
  const Found found = find(names);
  if (found.value == nullptr) return std::nullopt;
  std::vector<std::string> list;
  if (found.value->is_string()) {
    list.push_back(found.value->get<std::string>());
  } else if (found.value->is_array()) {
    const Json* stray = nullptr;
    for (const Json& item : *found.value) {
      if (item.is_string()) {
        list.push_back(item.get<std::string>());
      } else if (stray == nullptr && !item.is_null()) {
        stray = &item;  // one remark is enough, however many there are
      }
    }
    if (stray != nullptr) remark_wrong_type(found.name, *stray, "an array of strings");
  } else {
    remark_wrong_type(found.name, *found.value, "a string or an array of strings");
    return std::nullopt;
  }
  return list;
}

}  // namespace foretoken::api
