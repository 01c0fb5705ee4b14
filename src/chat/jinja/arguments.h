// Reads the arguments of a built-in by position or name, with checks and defaults.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "chat/jinja/value.h"

namespace foretoken::chat::jinja {

class ArgumentReader {
 public:
  /// Binds `arguments` to `parameters`. Fails, naming `function`, for one too many, unknown or
  /// given twice.
  ArgumentReader(Context& context, const Arguments& arguments, std::string_view function,
                 std::initializer_list<std::string_view> parameters);

  /// Null when not given.
  const Value* find(std::size_t index) const { return bound_[index]; }
  const Value& require(std::size_t index) const;

  const Text& require_text(std::size_t index) const;
  /// Null when not given or none.
  const Text* find_text(std::size_t index) const;
  Int int_or(std::size_t index, Int fallback) const;
  bool bool_or(std::size_t index, bool fallback) const;

 private:
  std::string label(std::size_t index) const;

  Context& context_;
  std::string_view function_;
  std::vector<std::string_view> parameters_;
  std::vector<const Value*> bound_;
};

}  // namespace foretoken::chat::jinja
