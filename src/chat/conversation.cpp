// See conversation.h.
#include "chat/conversation.h"

#include <utility>

#include "base/error.h"
#include "chat/json_text.h"

namespace foretoken::chat {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void fail(const std::string& where, const std::string& expected, const Json& found) {
  throw RequestError(where + " must be " + expected + ", not " + found.type_name());
}

const Json* find_member(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string string_member(const Json& object, const char* key, const std::string& where) {
  const Json* value = find_member(object, key);
  if (value == nullptr) return {};
  if (!value->is_string()) fail(where + "." + key, "a string", *value);
  return value->get<std::string>();
}

void check_part(const Json& part, const std::string& where) {
  if (!part.is_object()) fail(where, "an object", part);
  if (const Json* type = find_member(part, "type"); type != nullptr && !type->is_string()) {
    fail(where + ".type", "a string", *type);
  }
  const bool says_text = part.contains("type") && part["type"] == "text";
  const Json* text = find_member(part, "text");
  if (says_text && text == nullptr) throw RequestError(where + " is of type text but has no text");
  if (text != nullptr && !text->is_string()) fail(where + ".text", "a string", *text);
}

Json parse_content(const Json& message, const std::string& where) {
  const Json* content = find_member(message, "content");
  if (content == nullptr) return nullptr;
  if (content->is_string()) return *content;
  if (!content->is_array()) fail(where, "a string, an array of parts or null", *content);
  for (std::size_t i = 0; i < content->size(); ++i) {
    check_part((*content)[i], where + "[" + std::to_string(i) + "]");
  }
  return *content;
}

Json parse_arguments(const Json& function, const std::string& where, int max_depth) {
  const Json* arguments = find_member(function, "arguments");
  if (arguments == nullptr) return Json::object();
  Json parsed = *arguments;
  if (arguments->is_string()) {
    const auto& text = arguments->get_ref<const std::string&>();
    if (text.find_first_not_of(" \t\r\n") == std::string::npos) return Json::object();
    parsed = parse_json(text, max_depth, where);
  }
  if (!parsed.is_object()) fail(where, "a JSON object or the text of one", parsed);
  return parsed;
}

ToolCall parse_tool_call(const Json& call, const std::string& where, int max_depth) {
  if (!call.is_object()) fail(where, "an object", call);
  const Json* wrapped = find_member(call, "function");
  if (wrapped != nullptr && !wrapped->is_object()) fail(where + ".function", "an object", *wrapped);
  const Json& function = wrapped != nullptr ? *wrapped : call;
  const std::string inside = wrapped != nullptr ? where + ".function" : where;
  ToolCall result;
  result.id = string_member(call, "id", where);
  result.name = string_member(function, "name", inside);
  if (result.name.empty()) throw RequestError(inside + ".name is missing or empty");
  result.arguments = parse_arguments(function, inside + ".arguments", max_depth);
  return result;
}

Message parse_message(const Json& json, const std::string& where, int max_depth) {
  if (!json.is_object()) fail(where, "an object", json);
  Message message;
  message.role = string_member(json, "role", where);
  if (message.role.empty()) throw RequestError(where + ".role is missing or empty");
  if (message.role == "developer") message.role = "system";
  message.content = parse_content(json, where + ".content");
  for (const char* key : {"reasoning_content", "reasoning"}) {
    const Json* reasoning = find_member(json, key);
    if (reasoning == nullptr || message.reasoning) continue;
    if (!reasoning->is_string()) fail(where + "." + key, "a string", *reasoning);
    message.reasoning = reasoning->get<std::string>();
  }
  if (const Json* calls = find_member(json, "tool_calls")) {
    if (!calls->is_array()) fail(where + ".tool_calls", "an array", *calls);
    for (std::size_t i = 0; i < calls->size(); ++i) {
      message.tool_calls.push_back(parse_tool_call(
          (*calls)[i], where + ".tool_calls[" + std::to_string(i) + "]", max_depth));
    }
  }
  message.tool_call_id = string_member(json, "tool_call_id", where);
  return message;
}

/// The text of a message without other parts, or nothing.
std::optional<std::string> plain_text(const Message& message) {
  if (message.content.is_null()) return std::string();
  if (message.content.is_string()) return message.content.get<std::string>();
  std::string text;
  for (const Json& part : message.content) {
    const Json* piece = find_member(part, "text");
    if (piece == nullptr) return std::nullopt;
    text += piece->get_ref<const std::string&>();
  }
  return text;
}

}  // namespace

std::vector<Message> parse_messages(const Json& messages, const ConversationLimits& limits) {
  if (!messages.is_array()) fail("messages", "an array", messages);
  if (messages.size() > limits.max_messages) {
    throw RequestError("there are " + std::to_string(messages.size()) +
                       " messages, more than the " + std::to_string(limits.max_messages) +
                       " allowed");
  }
  std::vector<Message> result;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    result.push_back(
        parse_message(messages[i], "messages[" + std::to_string(i) + "]", limits.max_depth));
  }
  return result;
}

std::vector<Message> parse_messages_text(std::string_view json_text,
                                         const ConversationLimits& limits) {
  return parse_messages(parse_json(json_text, limits.max_depth, "the list of messages"), limits);
}

Json to_json(const std::vector<Message>& messages) {
  Json array = Json::array();
  for (const Message& message : messages) {
    Json json = {{"role", message.role}, {"content", message.content}};
    if (message.reasoning) json["reasoning_content"] = *message.reasoning;
    if (!message.tool_calls.empty()) {
      Json calls = Json::array();
      for (const ToolCall& call : message.tool_calls) {
        Json one = Json::object();
        if (!call.id.empty()) one["id"] = call.id;
        one["type"] = "function";
        one["function"] = Json::object();
        one["function"]["name"] = call.name;
        one["function"]["arguments"] = call.arguments;
        calls.push_back(std::move(one));
      }
      json["tool_calls"] = std::move(calls);
    }
    if (!message.tool_call_id.empty()) json["tool_call_id"] = message.tool_call_id;
    array.push_back(std::move(json));
  }
  return array;
}

Json normalise_tools(const Json& tools) {
  if (tools.is_null()) return nullptr;
  if (!tools.is_array()) fail("tools", "an array", tools);
  Json result = Json::array();
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const std::string where = "tools[" + std::to_string(i) + "]";
    const Json& tool = tools[i];
    if (!tool.is_object()) fail(where, "an object", tool);
    const Json* wrapped = find_member(tool, "function");
    if (wrapped != nullptr && !wrapped->is_object()) {
      fail(where + ".function", "an object", *wrapped);
    }
    const Json& function = wrapped != nullptr ? *wrapped : tool;
    if (string_member(function, "name", where).empty()) {
      throw RequestError(where + " declares a function without a name");
    }
    if (wrapped != nullptr) {
      result.push_back(tool);
    } else {
      Json wrapper = Json::object();
      wrapper["type"] = "function";
      wrapper["function"] = tool;
      result.push_back(std::move(wrapper));
    }
  }
  return result;
}

void merge_system_messages(std::vector<Message>& messages) {
  std::string joined;
  bool any = false;
  std::vector<Message> rest;
  for (Message& message : messages) {
    std::optional<std::string> text;
    if (message.role == "system") text = plain_text(message);
    if (!text) {
      rest.push_back(std::move(message));
      continue;
    }
    if (!joined.empty() && !text->empty()) joined += "\n\n";
    joined += *text;
    any = true;
  }
  messages = std::move(rest);
  if (!any) return;
  Message system;
  system.role = "system";
  system.content = std::move(joined);
  messages.insert(messages.begin(), std::move(system));
}

}  // namespace foretoken::chat
