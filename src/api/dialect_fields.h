// Members of a dialect's request body, checked as converters walk it. Every error names the member
// by its path: "Field 'messages[2].content[0].text': must be a string, not number".
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "api/context.h"

namespace foretoken::api {

/// A value and where it stands in the body. Borrowed; null pointers never occur.
struct FieldAt {
  const Json* value;
  std::string path;

  const Json& operator*() const { return *value; }
  const Json* operator->() const { return value; }

  /// The element of an array.
  FieldAt item(std::size_t index) const;
};

[[noreturn]] void refuse_type(const FieldAt& field, const char* expected);

// A member of an object; absent ones and null are the same. Each throws RequestError for a wrong
// type; `require_` also when the member is absent. `object` itself must be an object, see below.

const FieldAt& require_object(const FieldAt& field);
const FieldAt& require_array(const FieldAt& field);
/// Its value is a JSON null when the member is absent.
FieldAt member(const FieldAt& object, const char* key);
std::string string_or(const FieldAt& object, const char* key, const std::string& fallback);
std::string require_string(const FieldAt& object, const char* key);
bool boolean_or(const FieldAt& object, const char* key, bool fallback);

/// A copy of an object without some of its members.
Json copy_without(const Json& object, std::initializer_list<std::string_view> keys);

}  // namespace foretoken::api
