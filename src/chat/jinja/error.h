// Where a template went wrong, and the one exception type of the template engine.
#pragma once

#include <string>

#include "base/error.h"

namespace foretoken::chat::jinja {

/// A place in the template's source, counted from 1; columns count bytes.
struct Position {
  int line = 1;
  int column = 1;
};

}  // namespace foretoken::chat::jinja

namespace foretoken::chat {

/// A template that cannot be parsed or rendered, or that refuses its input through
/// raise_exception. In the latter case what() is the template author's text alone, because that
/// text is meant for whoever sent the messages; otherwise it starts with the place.
class TemplateError : public RequestError {
 public:
  enum class Cause { Syntax, Evaluation, Limit, Raised };

  TemplateError(Cause cause, jinja::Position at, const std::string& message)
      : RequestError(cause == Cause::Raised
                         ? message
                         : "chat template, line " + std::to_string(at.line) + ", column " +
                               std::to_string(at.column) + ": " + message),
        cause_(cause),
        at_(at) {}

  Cause cause() const { return cause_; }
  jinja::Position at() const { return at_; }

 private:
  Cause cause_;
  jinja::Position at_;
};

}  // namespace foretoken::chat
