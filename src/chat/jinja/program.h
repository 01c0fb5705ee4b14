// A parsed template and the one thing to do with it. The engine's front door.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/context.h"
#include "chat/jinja/text.h"

namespace foretoken::chat::jinja {

struct Variable {
  std::string_view name;                ///< the text must outlive the rendering
  const nlohmann::ordered_json* value;  ///< borrowed, not null
  bool trusted = false;                 ///< mark of the strings inside
};

/// Immutable once built: may render on several threads at a time.
class Program {
 public:
  /// Throws TemplateError.
  explicit Program(std::string_view source, const Limits& limits = {});

  /// Runs the template with `variables` defined, later ones of a name replacing earlier ones.
  /// Throws TemplateError.
  Text render(const std::vector<Variable>& variables) const;

 private:
  Limits limits_;
  Body body_;
};

}  // namespace foretoken::chat::jinja
