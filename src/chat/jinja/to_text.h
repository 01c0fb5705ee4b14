// Values as text: Python's str and repr, and JSON as Hugging Face's template environment writes it.
// Source: docs/chat-template.md, "Values as text"; Python's float.__repr__ and json.dumps.
#pragma once

#include <optional>
#include <string>

#include "chat/jinja/text_builder.h"
#include "chat/jinja/value.h"

namespace foretoken::chat::jinja {

/// Python's str(value): strings as they are, True, None, 1.0; undefined is empty.
void append_str(TextBuilder& out, const Value& value);
/// Python's repr(value): strings in quotes.
void append_repr(TextBuilder& out, const Value& value);
/// str(value) as a text.
Text to_text(Context& context, const Value& value);

struct JsonStyle {
  std::optional<int> indent;  ///< absent: everything on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ascii_only = false;
  bool sort_keys = false;
};
/// JSON without any HTML escaping, insertion order kept. Fails for what JSON cannot express.
void append_json(TextBuilder& out, const Value& value, const JsonStyle& style);

/// Shortest decimal that reads back as `value`, in Python's layout: "1.0", "1e+16", "nan".
std::string float_repr(double value);
std::string int_repr(Int value);

}  // namespace foretoken::chat::jinja
