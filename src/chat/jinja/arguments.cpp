// See arguments.h.
#include "chat/jinja/arguments.h"

#include <algorithm>

namespace foretoken::chat::jinja {

ArgumentReader::ArgumentReader(Context& context, const Arguments& arguments,
                               std::string_view function,
                               std::initializer_list<std::string_view> parameters)
    : context_(context),
      function_(function),
      parameters_(parameters),
      bound_(parameters.size(), nullptr) {
  if (arguments.positional.size() > parameters_.size()) {
    context.fail("'" + std::string(function) + "' takes at most " +
                 std::to_string(parameters_.size()) + " arguments, not " +
                 std::to_string(arguments.positional.size()));
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i)
    bound_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(parameters_.begin(), parameters_.end(), name);
    if (found == parameters_.end()) {
      context.fail("'" + std::string(function) + "' has no parameter '" + std::string(name) + "'");
    }
    const auto i = static_cast<std::size_t>(found - parameters_.begin());
    if (bound_[i] != nullptr) context.fail(label(i) + " is given twice");
    bound_[i] = &value;
  }
}

std::string ArgumentReader::label(std::size_t index) const {
  return "parameter '" + std::string(parameters_[index]) + "' of '" + std::string(function_) + "'";
}

const Value& ArgumentReader::require(std::size_t index) const {
  if (bound_[index] == nullptr) context_.fail(label(index) + " is missing");
  return *bound_[index];
}

const Text& ArgumentReader::require_text(std::size_t index) const {
  const Text* text = require(index).text();
  if (text == nullptr) {
    context_.fail(label(index) + " must be a string, not " +
                  std::string(bound_[index]->type_name()));
  }
  return *text;
}

const Text* ArgumentReader::find_text(std::size_t index) const {
  if (bound_[index] == nullptr || bound_[index]->is<None>()) return nullptr;
  return &require_text(index);
}

Int ArgumentReader::int_or(std::size_t index, Int fallback) const {
  if (bound_[index] == nullptr || bound_[index]->is<None>()) return fallback;
  Int storage = 0;
  const Int* value = find_int(*bound_[index], storage);
  if (value == nullptr) {
    context_.fail(label(index) + " must be an integer, not " +
                  std::string(bound_[index]->type_name()));
  }
  return *value;
}

bool ArgumentReader::bool_or(std::size_t index, bool fallback) const {
  return bound_[index] == nullptr ? fallback : bound_[index]->truthy();
}

}  // namespace foretoken::chat::jinja
