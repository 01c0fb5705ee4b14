// See chat_messages.h.
#include "api/chat_messages.h"

#include <fmt/format.h>

#include <string>

#include "api/request_body.h"
#include "base/error.h"
#include "base/text.h"

namespace foretoken::api {
namespace {

[[noreturn]] void refuse_media(const char* kind) {
  throw RequestError(fmt::format(
      "{} input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
      kind));
}

void check_part(const Json& part, const std::string& where) {
  if (!part.is_object()) {
    throw RequestError(fmt::format("{} must be an object, not {}", where, part.type_name()));
  }
  const Json* type = find_field(part, "type");
  if (type == nullptr || !type->is_string()) {
    throw RequestError(where + ".type is missing: a part says what it is, e.g. \"text\"");
  }
  const auto& name = type->get_ref<const std::string&>();
  if (name == "text") return;
  if (name == "image_url") refuse_media("image");
  if (name == "input_audio") refuse_media("audio");
  if (name == "input_video" || name == "video_url") refuse_media("video");
  throw RequestError(
      fmt::format("unsupported content[].type: {}.type is {}, expected text", where, quoted(name)));
}

void check_message(const Json& message, const std::string& where) {
  if (!message.is_object()) {
    throw RequestError(fmt::format("{} must be an object, not {}", where, message.type_name()));
  }
  const Json* role = find_field(message, "role");
  if (role == nullptr || !role->is_string() || role->get_ref<const std::string&>().empty()) {
    throw RequestError(where + ".role is missing or not a string");
  }
  const Json* content = find_field(message, "content");
  if (content == nullptr) {
    const bool assistant = *role == "assistant";
    if (!assistant)
      throw RequestError("All non-assistant messages must contain 'content': " + where);
    // An explicit null is how clients send back a turn that had nothing but calls or thinking.
    if (!message.contains("content") && find_field(message, "tool_calls") == nullptr &&
        find_field(message, "reasoning_content") == nullptr) {
      throw RequestError("Assistant message must contain either 'content' or 'tool_calls': " +
                         where);
    }
    return;
  }
  if (!content->is_array()) return;  // parse_messages checks the type
  for (std::size_t i = 0; i < content->size(); ++i) {
    check_part((*content)[i], fmt::format("{}.content[{}]", where, i));
  }
}

bool asks_to_continue(const Json& body) {
  const Json* value = find_field(body, "continue_final_message");
  if (value == nullptr) return false;
  if (value->is_boolean()) return value->get<bool>();
  return *value == "content" || *value == "reasoning_content";
}

}  // namespace

std::vector<chat::Message> read_messages(const Json& body) {
  const Json* messages = find_field(body, "messages");
  if (messages == nullptr) throw RequestError("'messages' is required");
  if (!messages->is_array()) {
    throw RequestError(
        fmt::format("Field 'messages': must be an array, not {}", messages->type_name()));
  }
  for (std::size_t i = 0; i < messages->size(); ++i) {
    check_message((*messages)[i], fmt::format("messages[{}]", i));
  }
  return chat::parse_messages(*messages);
}

bool continues_final_message(const Json& body, const std::vector<chat::Message>& messages,
                             bool prefill_assistant) {
  const bool asked = asks_to_continue(body);
  const bool from_assistant = !messages.empty() && messages.back().role == "assistant";
  if (!asked && !(prefill_assistant && from_assistant)) return false;
  if (asked) {
    const Json* opens = find_field(body, "add_generation_prompt");
    if (opens != nullptr && *opens == true) {
      throw RequestError(
          "Cannot set both add_generation_prompt and continue_final_message to true.");
    }
    if (!from_assistant) {
      throw RequestError("Field 'continue_final_message': the last message must be an assistant's");
    }
  }
  if (messages.size() >= 2 && messages[messages.size() - 2].role == "assistant") {
    throw RequestError("Cannot have 2 or more assistant messages at the end of the list.");
  }
  if (!messages.back().tool_calls.empty()) {
    // Without a request to continue, such a turn is simply history whose answers are missing.
    if (!asked) return false;
    throw RequestError("Cannot continue an assistant message that contains tool calls.");
  }
  return true;
}

}  // namespace foretoken::api
