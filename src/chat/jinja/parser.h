// Tokens to syntax tree: the statements. Expressions have their own file.
//
// Known tags: set, if, for (with break and continue), macro, call, filter, with, raw, and
// generation, which marks the assistant's words for training and only groups here. Templates that
// ask for other files (include, import, extends) are refused: chat templates stand alone.
// Source: docs/chat-template.md, "Statements"; Jinja 3.1's template designer documentation.
#pragma once

#include <string_view>

#include "chat/jinja/ast.h"
#include "chat/jinja/context.h"

namespace foretoken::chat::jinja {

/// Throws TemplateError with Cause::Syntax, or Cause::Limit for a template too long or too deep.
Body parse(std::string_view source, const Limits& limits);

}  // namespace foretoken::chat::jinja
