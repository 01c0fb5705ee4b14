// See responses_request.h.
#include "api/responses_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "api/dialect_fields.h"
#include "api/field_reader.h"
#include "base/text.h"
#include "chat/json_text.h"

namespace foretoken::api {
namespace {

// Items that record what OpenAI's own servers did. Their results reached the model there, and the
// conversation goes on without them.
constexpr std::array<std::string_view, 8> kForeignItems{
    "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call",
    "mcp_list_tools",  "mcp_call",         "mcp_approval_request",  "compaction"};

Json text_part(std::string text) { return {{"type", "text"}, {"text", std::move(text)}}; }

/// The address of a picture: a string, or the chat layout's object.
Json image_part(const FieldAt& part) {
  const FieldAt image = member(part, "image_url");
  Json out = {{"type", "image_url"}};
  if (image->is_object()) {
    out["image_url"] = {{"url", require_string(image, "url")}};
  } else {
    out["image_url"] = {{"url", require_string(part, "image_url")}};
  }
  return out;
}

Json content_part(const FieldAt& part) {
  const std::string type = require_string(require_object(part), "type");
  if (type == "input_text" || type == "output_text" || type == "text" || type == "summary_text" ||
      type == "reasoning_text") {
    return text_part(require_string(part, "text"));
  }
  if (type == "refusal") return text_part(require_string(part, "refusal"));
  if (type == "input_image" || type == "image_url") return image_part(part);
  if (type == "input_file") {
    refuse_field(part.path + ".type", "'input_file' is not supported: send the file's text");
  }
  refuse_field(part.path + ".type", fmt::format("unsupported type {}", quoted(type)));
}

/// A string, or parts; one string where all parts are text.
Json convert_content(const FieldAt& content) {
  if (content->is_string()) return *content;
  if (!content->is_array()) refuse_type(content, "a string or an array of parts");
  Json parts = Json::array();
  std::string text;
  bool only_text = true;
  for (std::size_t i = 0; i < content->size(); ++i) {
    Json part = content_part(content.item(i));
    if (part["type"] == "text") {
      text += part["text"].get_ref<const std::string&>();
    } else {
      only_text = false;
    }
    parts.push_back(std::move(part));
  }
  return only_text ? Json(text) : parts;
}

/// Arguments as an object. A call that broke off comes back as it was sent, and it is the model's
/// mistake, not the client's: its text is kept under one name.
Json parse_arguments(const std::string& text) {
  constexpr int kMaxDepth = 64;
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return Json::object();
  if (chat::is_json(text, kMaxDepth)) {
    Json parsed = Json::parse(text, nullptr, false);
    if (parsed.is_object()) return parsed;
  }
  return {{"arguments", text}};
}

/// Turns the flat list of items into messages: what an assistant did in a row (thinking, words,
/// calls) is one message.
class MessageBuilder {
 public:
  void add_instructions(const std::string& text) {
    messages_.push_back({{"role", "system"}, {"content", text}});
  }

  void add_text(const std::string& text) {
    messages_.push_back({{"role", "user"}, {"content", text}});
  }

  void add_item(const FieldAt& item) {
    require_object(item);
    const std::string type = string_or(item, "type", "message");
    if (type == "message") return add_message(item);
    if (type == "reasoning") return add_reasoning(item);
    if (type == "function_call") {
      return add_call(item, require_string(item, "name"),
                      parse_arguments(require_string(item, "arguments")));
    }
    if (type == "custom_tool_call") {
      const Json arguments = {{"input", require_string(item, "input")}};
      return add_call(item, require_string(item, "name"), arguments);
    }
    if (type == "local_shell_call") {
      const FieldAt action = member(item, "action");
      return add_call(item, "local_shell", *require_object(action));
    }
    if (type == "function_call_output" || type == "custom_tool_call_output" ||
        type == "local_shell_call_output") {
      return add_output(item);
    }
    if (type == "item_reference") {
      refuse_field(item.path,
                   "'item_reference' is not supported: nothing is stored, send the item");
    }
    if (std::find(kForeignItems.begin(), kForeignItems.end(), type) == kForeignItems.end()) {
      refuse_field(item.path + ".type", fmt::format("unsupported item type {}", quoted(type)));
    }
  }

  Json take() { return std::move(messages_); }

 private:
  void add_message(const FieldAt& item) {
    const std::string role = require_string(item, "role");
    if (role == "assistant") return add_words(convert_content(member(item, "content")));
    if (role != "user" && role != "system" && role != "developer") {
      refuse_field(item.path + ".role",
                   fmt::format("must be \"user\", \"assistant\", \"system\" or \"developer\", not "
                               "{}",
                               quoted(role)));
    }
    messages_.push_back({{"role", role}, {"content", convert_content(member(item, "content"))}});
  }

  /// The assistant's message at the end of the list, made if there is none.
  Json& assistant() {
    if (messages_.empty() || messages_.back()["role"] != "assistant") {
      messages_.push_back({{"role", "assistant"}, {"content", ""}});
    }
    return messages_.back();
  }

  void add_words(Json content) {
    Json& message = assistant();
    Json& present = message["content"];
    if (present.is_string() && content.is_string()) {
      present = present.get_ref<const std::string&>() + content.get_ref<const std::string&>();
      return;
    }
    for (Json* side : {&present, &content}) {
      if (side->is_string()) *side = Json::array({text_part(side->get<std::string>())});
    }
    for (Json& part : content) present.push_back(std::move(part));
  }

  /// A turn's thoughts are shown before its words, whatever their order here.
  void add_reasoning(const FieldAt& item) {
    const FieldAt content = member(item, "content");
    std::string text;
    if (!content->is_null()) {
      require_array(content);
      for (std::size_t i = 0; i < content->size(); ++i) {
        text += require_string(require_object(content.item(i)), "text");
      }
    }
    if (const FieldAt summary = member(item, "summary"); !summary->is_null()) {
      require_array(summary);
    }
    if (text.empty()) return;  // encrypted, or only summarised: nothing to give back
    Json& message = assistant();
    if (message.contains("reasoning_content")) {
      message["reasoning_content"] = message["reasoning_content"].get<std::string>() + "\n" + text;
    } else {
      message["reasoning_content"] = std::move(text);
    }
  }

  void add_call(const FieldAt& item, const std::string& name, const Json& arguments) {
    Json function = {{"name", name}};
    function["arguments"] = arguments;
    Json call = {{"id", call_id(item)}, {"type", "function"}};
    call["function"] = std::move(function);
    Json& message = assistant();
    if (!message.contains("tool_calls")) message["tool_calls"] = Json::array();
    message["tool_calls"].push_back(std::move(call));
  }

  void add_output(const FieldAt& item) {
    messages_.push_back({{"role", "tool"},
                         {"tool_call_id", call_id(item)},
                         {"content", convert_content(member(item, "output"))}});
  }

  /// Shell calls of some clients are known by their item's id only.
  static std::string call_id(const FieldAt& item) {
    const std::string id = string_or(item, "call_id", "");
    return id.empty() && item->contains("id") ? string_or(item, "id", "")
                                              : require_string(item, "call_id");
  }

  Json messages_ = Json::array();
};

Json convert_input(const FieldAt& body) {
  MessageBuilder builder;
  const FieldAt instructions = member(body, "instructions");
  if (!instructions->is_null()) builder.add_instructions(require_string(body, "instructions"));
  const FieldAt input = member(body, "input");
  if (input->is_null()) refuse_field("input", "is required");
  if (input->is_string()) {
    builder.add_text(input->get<std::string>());
  } else if (input->is_array()) {
    for (std::size_t i = 0; i < input->size(); ++i) builder.add_item(input.item(i));
  } else {
    refuse_type(input, "a string or an array of items");
  }
  return builder.take();
}

/// Functions, in this dialect's flat layout or the chat layout. Other kinds of tools are run by
/// OpenAI's servers or need replies of a kind of their own.
Json convert_tools(const FieldAt& tools, const Remark& remark) {
  require_array(tools);
  Json out = Json::array();
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const FieldAt tool = tools.item(i);
    const std::string type = require_string(require_object(tool), "type");
    if (type != "function") {
      remark(fmt::format("{}: a tool of type {} is left out, only functions are supported",
                         tool.path, quoted(type)));
      continue;
    }
    if (const FieldAt wrapped = member(tool, "function"); !wrapped->is_null()) {
      require_string(require_object(wrapped), "name");
      out.push_back(*tool);
      continue;
    }
    require_string(tool, "name");
    Json function = *tool;
    function.erase("type");
    Json converted = {{"type", "function"}};
    converted["function"] = std::move(function);
    out.push_back(std::move(converted));
  }
  return out;
}

Json convert_tool_choice(const FieldAt& choice) {
  if (choice->is_string()) return *choice;
  require_object(choice);
  const std::string type = require_string(choice, "type");
  if (type == "allowed_tools") return require_string(choice, "mode");
  if (type != "function") {
    refuse_field(choice.path + ".type",
                 fmt::format("must be \"function\" or \"allowed_tools\", not {}", quoted(type)));
  }
  if (!member(choice, "function")->is_null()) return *choice;  // the chat layout
  Json out = {{"type", "function"}};
  out["function"] = {{"name", require_string(choice, "name")}};
  return out;
}

/// text.format as response_format; nothing for plain text.
void convert_text(const FieldAt& text, Json& chat) {
  require_object(text);
  const FieldAt format = member(text, "format");
  if (format->is_null()) return;
  const std::string type = require_string(require_object(format), "type");
  if (type == "text") return;
  chat["response_format"] = {{"type", type}};
  if (type == "json_object") return;
  if (type != "json_schema") {
    refuse_field(
        format.path + ".type",
        fmt::format("must be \"text\", \"json_object\" or \"json_schema\", not {}", quoted(type)));
  }
  const FieldAt schema = member(format, "schema");
  require_object(schema);
  chat["response_format"]["json_schema"] = {{"name", string_or(format, "name", "")},
                                            {"schema", *schema}};
}

/// What this server cannot do, as opposed to what it may ignore: state kept between requests.
void refuse_stored_state(const FieldAt& body) {
  if (!string_or(body, "previous_response_id", "").empty()) {
    refuse_field("previous_response_id",
                 "is not supported: nothing is stored, send the whole conversation as input");
  }
  for (const char* key : {"conversation", "prompt"}) {
    if (!member(body, key)->is_null()) {
      refuse_field(key, "is not supported: nothing is stored on this server");
    }
  }
  if (boolean_or(body, "background", false)) {
    refuse_field("background", "is not supported: replies are not kept to be fetched later");
  }
}

}  // namespace

Json responses_to_chat(const Json& body, const Remark& remark) {
  const FieldAt root{&body, ""};
  refuse_stored_state(root);
  // The conversation may be large: only what stays as it is gets copied.
  Json chat = copy_without(
      body, {"input", "instructions", "messages", "tools", "tool_choice", "text", "reasoning",
             "max_output_tokens", "previous_response_id", "conversation", "prompt", "background",
             "include", "truncation", "top_logprobs", "store", "metadata"});
  chat["messages"] = convert_input(root);
  if (const FieldAt tools = member(root, "tools"); !tools->is_null()) {
    chat["tools"] = convert_tools(tools, remark);
  }
  if (const FieldAt choice = member(root, "tool_choice"); !choice->is_null()) {
    chat["tool_choice"] = convert_tool_choice(choice);
  }
  if (const FieldAt limit = member(root, "max_output_tokens"); !limit->is_null()) {
    if (!limit->is_number_integer()) refuse_type(limit, "a whole number");
    chat["max_tokens"] = *limit;
  }
  if (const FieldAt reasoning = member(root, "reasoning"); !reasoning->is_null()) {
    const std::string effort = string_or(require_object(reasoning), "effort", "");
    if (!effort.empty()) chat["reasoning_effort"] = effort;
  }
  if (const FieldAt text = member(root, "text"); !text->is_null()) convert_text(text, chat);
  return chat;
}

}  // namespace foretoken::api
