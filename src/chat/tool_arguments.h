// Arguments of tool calls: the model writes every value as plain text, and the tool's JSON schema
// says what it means.
// Rules: docs/chat-template.md, "Arguments".
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace foretoken::chat {

/// Types that a schema allows. None set: unknown.
struct ArgumentTypes {
  bool string = false;
  bool number = false;  ///< integer or number
  bool boolean = false;
  bool null = false;
  bool object = false;
  bool array = false;

  /// Taken as it is: only strings allowed, or nothing known.
  bool plain_text() const { return !number && !boolean && !null && !object && !array; }
};

/// The types that `tools` (OpenAI layout, or null) declares for a parameter of a function; unknown
/// when either is not declared. Follows type, enum, const, anyOf, oneOf, allOf and local $ref, to a
/// bounded depth.
ArgumentTypes find_argument_types(const nlohmann::ordered_json& tools, std::string_view function,
                                  std::string_view parameter);

/// `value` as JSON text of one of the types; a JSON string when it fits none of them.
std::string argument_to_json(const ArgumentTypes& types, std::string_view value);

/// Escapes for the inside of a JSON string; bytes from 0x80 on stay as they are.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace foretoken::chat
