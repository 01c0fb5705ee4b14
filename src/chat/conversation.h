// A conversation as typed messages, and as the JSON that requests carry and templates read.
//
// Requests come in several spellings (arguments as JSON text, null content, the developer role);
// templates expect one. Everything is checked here, once.
// Source: docs/chat-template.md, "Messages"; the OpenAI chat completions layout.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace foretoken::chat {

struct ToolCall {
  std::string id;  ///< may be empty
  std::string name;
  nlohmann::ordered_json arguments = nlohmann::ordered_json::object();  ///< always an object
};

struct Message {
  std::string role;  ///< "system", "user", "assistant", "tool"; others are the template's to judge
  /// A string, an array of parts ({"type": "text", "text": ...}, images, videos), or null.
  nlohmann::ordered_json content;
  std::optional<std::string> reasoning;  ///< reasoning_content of assistant messages
  std::vector<ToolCall> tool_calls;
  std::string tool_call_id;  ///< of tool messages; templates of this family do not print it
};

struct ConversationLimits {
  std::size_t max_messages = 100'000;
  int max_depth = 100;  ///< nesting of the JSON text
};

/// Checks and normalises an array of message objects: "developer" becomes "system", `reasoning` is
/// read where `reasoning_content` is absent, arguments given as JSON text become objects (empty
/// text: no arguments). Throws RequestError that names the member, e.g. "messages[2].content".
std::vector<Message> parse_messages(const nlohmann::ordered_json& messages,
                                    const ConversationLimits& limits = {});
/// The same from JSON text.
std::vector<Message> parse_messages_text(std::string_view json_text,
                                         const ConversationLimits& limits = {});

/// The array that ChatTemplate::render takes.
nlohmann::ordered_json to_json(const std::vector<Message>& messages);

/// Checks an array of tool declarations; null passes. A bare function object is wrapped into
/// {"type": "function", "function": ...}. Throws RequestError.
nlohmann::ordered_json normalise_tools(const nlohmann::ordered_json& tools);

/// Joins all system messages into one at the front, their texts separated by blank lines: templates
/// of this family accept a system message in no other place. Messages whose content has parts other
/// than text are left where they are.
void merge_system_messages(std::vector<Message>& messages);

}  // namespace foretoken::chat
