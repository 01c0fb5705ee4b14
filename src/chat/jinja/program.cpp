// See program.h.
#include "chat/jinja/program.h"

#include "chat/jinja/evaluator.h"
#include "chat/jinja/parser.h"

namespace foretoken::chat::jinja {

Program::Program(std::string_view source, const Limits& limits)
    : limits_(limits), body_(parse(source, limits)) {}

Text Program::render(const std::vector<Variable>& variables) const {
  Evaluator evaluator(body_, limits_);
  for (const Variable& variable : variables) {
    evaluator.define(variable.name,
                     from_json(evaluator.context(), *variable.value, variable.trusted));
  }
  return evaluator.run();
}

}  // namespace foretoken::chat::jinja
