// Typed reading of a request's members, one rule for all: the first of several names that is there
// and not null; wrong type: absent, with a remark; out of range: clamped or refused, as each field
// has it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/context.h"

namespace foretoken::api {

/// Throws RequestError "Field 'name': reason".
[[noreturn]] void refuse_field(std::string_view name, const std::string& reason);

using Names = std::initializer_list<std::string_view>;

class FieldReader {
 public:
  /// Keeps references to both.
  FieldReader(const Context& context, const Json& body) : context_(context), body_(body) {}

  bool boolean(Names names, bool fallback) const;
  /// Whole numbers; fractions are cut. Outside [min, max]: RequestError.
  std::int64_t integer(Names names, std::int64_t fallback, std::int64_t min,
                       std::int64_t max) const;
  int small(Names names, int fallback, int min, int max = std::numeric_limits<int>::max()) const {
    return static_cast<int>(integer(names, fallback, min, max));
  }
  /// Clamped to [min, max]; never NaN.
  float number(Names names, float fallback, float min = std::numeric_limits<float>::lowest(),
               float max = std::numeric_limits<float>::max()) const;
  std::string text(Names names, const std::string& fallback) const;
  /// A string, or an array of strings; nothing when absent. Elements of another type are dropped
  /// with one remark.
  std::optional<std::vector<std::string>> texts(Names names) const;

  /// The value of the first name that is there, and that name.
  struct Found {
    const Json* value = nullptr;
    std::string_view name;
  };
  Found find(Names names) const;

  void remark_wrong_type(std::string_view name, const Json& value, const char* expected) const;

 private:
  const Context& context_;
  const Json& body_;
};

}  // namespace foretoken::api
