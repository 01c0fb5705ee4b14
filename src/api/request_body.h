// The JSON body of a request, checked before anything looks inside: UTF-8, nesting, number of
// values and of keys. Small texts can make large trees, and an ordered object looks a key up by
// walking, so both are bounded here, once.
#pragma once

#include <string_view>

#include "api/context.h"

namespace foretoken::api {

struct BodyLimits {
  int max_depth = 96;
  std::size_t max_values = 4'000'000;
  std::size_t max_keys = 16'384;  ///< of one object
};

/// Throws RequestError saying what is wrong and where: not UTF-8, not JSON, too deep, too many
/// values, not an object.
Json parse_body(std::string_view text, const BodyLimits& limits = {});

/// A member that is there and not null, else nullptr. Null means absent for every field.
inline const Json* find_field(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

}  // namespace foretoken::api
