// See messages_request.h.
#include "api/messages_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "api/dialect_fields.h"
#include "api/field_reader.h"
#include "base/text.h"

namespace foretoken::api {
namespace {

constexpr int kDefaultMaxTokens = 4096;
constexpr std::int64_t kDefaultThinkingBudget = 10000;

// Blocks of an assistant that only Anthropic's own servers can make or read. What they showed the
// model is gone with them; the conversation goes on without.
constexpr std::array<std::string_view, 11> kForeignBlocks{"redacted_thinking",
                                                          "server_tool_use",
                                                          "web_search_tool_result",
                                                          "web_fetch_tool_result",
                                                          "code_execution_tool_result",
                                                          "bash_code_execution_tool_result",
                                                          "text_editor_code_execution_tool_result",
                                                          "tool_search_tool_result",
                                                          "mcp_tool_use",
                                                          "mcp_tool_result",
                                                          "container_upload"};

Json text_part(std::string text) { return {{"type", "text"}, {"text", std::move(text)}}; }

/// {"source": {"type": "base64", ...}} or {"type": "url", ...} as a part of the chat layout.
Json image_part(const FieldAt& block) {
  const FieldAt source = member(block, "source");
  require_object(source);
  const std::string type = require_string(source, "type");
  std::string url;
  if (type == "base64") {
    url = "data:" + string_or(source, "media_type", "image/jpeg") + ";base64," +
          require_string(source, "data");
  } else if (type == "url") {
    url = require_string(source, "url");
  } else {
    refuse_field(source.path + ".type",
                 fmt::format("must be \"base64\" or \"url\", not {}", quoted(type)));
  }
  Json part = {{"type", "image_url"}};
  part["image_url"] = {{"url", std::move(url)}};
  return part;
}

/// Text of a document block: a plain-text source, or blocks of text.
std::string document_text(const FieldAt& block) {
  const FieldAt source = member(block, "source");
  require_object(source);
  const std::string type = require_string(source, "type");
  if (type == "text") return require_string(source, "data");
  if (type == "content") {
    const FieldAt content = member(source, "content");
    if (content->is_string()) return content->get<std::string>();
    require_array(content);
    std::string text;
    for (std::size_t i = 0; i < content->size(); ++i) {
      text += require_string(require_object(content.item(i)), "text");
    }
    return text;
  }
  refuse_field(source.path + ".type",
               fmt::format("only documents of plain text are supported, not {}", quoted(type)));
}

std::string search_result_text(const FieldAt& block) {
  std::string text = string_or(block, "title", "");
  if (const std::string source = string_or(block, "source", ""); !source.empty()) {
    text += (text.empty() ? "" : "\n") + source;
  }
  const FieldAt content = member(block, "content");
  if (content->is_null()) return text;
  require_array(content);
  for (std::size_t i = 0; i < content->size(); ++i) {
    text += "\n" + require_string(require_object(content.item(i)), "text");
  }
  return text;
}

[[noreturn]] void refuse_block(const FieldAt& block, const std::string& type) {
  refuse_field(block.path + ".type", fmt::format("unsupported block type {}", quoted(type)));
}

/// A block that is plain content wherever it stands; null for any other.
Json content_part(const FieldAt& block, const std::string& type) {
  if (type == "text") return text_part(require_string(block, "text"));
  if (type == "image") return image_part(block);
  if (type == "document") return text_part(document_text(block));
  if (type == "search_result") return text_part(search_result_text(block));
  return nullptr;
}

/// Parts as content: one string where all of them are text.
Json to_content(Json parts) {
  std::string text;
  for (const Json& part : parts) {
    if (part["type"] != "text") return parts;
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

/// A tool's answer. `is_error` needs no mark: the text says what went wrong.
Json tool_message(const FieldAt& block) {
  Json parts = Json::array();
  const FieldAt content = member(block, "content");
  if (content->is_string()) {
    parts.push_back(text_part(content->get<std::string>()));
  } else if (!content->is_null()) {
    require_array(content);
    for (std::size_t i = 0; i < content->size(); ++i) {
      const FieldAt part = content.item(i);
      const std::string type = require_string(require_object(part), "type");
      if (type == "tool_reference") {
        parts.push_back(text_part(require_string(part, "tool_name")));
        continue;
      }
      Json converted = content_part(part, type);
      if (converted.is_null()) refuse_block(part, type);
      parts.push_back(std::move(converted));
    }
  }
  boolean_or(block, "is_error", false);  // checked only
  return {{"role", "tool"},
          {"tool_call_id", require_string(block, "tool_use_id")},
          {"content", to_content(std::move(parts))}};
}

/// A user's blocks in their order: answers of tools become messages of their own, and what stands
/// between them a user's message.
void append_user(const FieldAt& content, Json& out) {
  Json parts = Json::array();
  const auto flush = [&] {
    if (parts.empty()) return;
    out.push_back({{"role", "user"}, {"content", std::exchange(parts, Json::array())}});
  };
  for (std::size_t i = 0; i < content->size(); ++i) {
    const FieldAt block = content.item(i);
    const std::string type = require_string(require_object(block), "type");
    if (type == "tool_result") {
      flush();
      out.push_back(tool_message(block));
      continue;
    }
    Json part = content_part(block, type);
    if (part.is_null()) refuse_block(block, type);
    parts.push_back(std::move(part));
  }
  if (content->empty()) out.push_back({{"role", "user"}, {"content", ""}});
  flush();
}

Json tool_call(const FieldAt& block) {
  const FieldAt input = member(block, "input");
  if (!input->is_null()) require_object(input);
  Json function = {{"name", require_string(block, "name")}};
  function["arguments"] = input->is_null() ? Json::object() : *input;
  Json call = {{"id", string_or(block, "id", "")}, {"type", "function"}};
  call["function"] = std::move(function);
  return call;
}

void append_assistant(const FieldAt& content, Json& out) {
  Json parts = Json::array();
  Json calls = Json::array();
  std::string reasoning;
  for (std::size_t i = 0; i < content->size(); ++i) {
    const FieldAt block = content.item(i);
    const std::string type = require_string(require_object(block), "type");
    if (type == "thinking") {
      reasoning += require_string(block, "thinking");
    } else if (type == "tool_use") {
      calls.push_back(tool_call(block));
    } else if (Json part = content_part(block, type); !part.is_null()) {
      parts.push_back(std::move(part));
    } else if (std::find(kForeignBlocks.begin(), kForeignBlocks.end(), type) ==
               kForeignBlocks.end()) {
      refuse_block(block, type);
    }
  }
  Json message = {{"role", "assistant"}, {"content", to_content(std::move(parts))}};
  if (!reasoning.empty()) message["reasoning_content"] = std::move(reasoning);
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  out.push_back(std::move(message));
}

/// A system prompt: a string, or blocks of text, which are parts without a separator.
Json system_content(const FieldAt& system) {
  if (system->is_string()) return without_stamp(system->get<std::string>());
  if (!system->is_array()) refuse_type(system, "a string or an array of text blocks");
  Json parts = Json::array();
  for (std::size_t i = 0; i < system->size(); ++i) {
    const FieldAt block = system.item(i);
    const std::string type = require_string(require_object(block), "type");
    if (type != "text") refuse_block(block, type);
    parts.push_back(text_part(without_stamp(require_string(block, "text"))));
  }
  return parts;
}

void append_message(const FieldAt& message, Json& out) {
  require_object(message);
  const std::string role = require_string(message, "role");
  const FieldAt content = member(message, "content");
  if (role == "system") {
    out.push_back({{"role", "system"}, {"content", system_content(content)}});
  } else if (role != "user" && role != "assistant") {
    refuse_field(
        message.path + ".role",
        fmt::format("must be \"user\", \"assistant\" or \"system\", not {}", quoted(role)));
  } else if (content->is_string()) {
    out.push_back({{"role", role}, {"content", *content}});
  } else if (content->is_null() && role == "assistant") {
    out.push_back({{"role", role}, {"content", ""}});
  } else if (!content->is_array()) {
    refuse_type(content, "a string or an array of blocks");
  } else if (role == "user") {
    append_user(content, out);
  } else {
    append_assistant(content, out);
  }
}

Json convert_messages(const FieldAt& body) {
  Json out = Json::array();
  if (const FieldAt system = member(body, "system"); !system->is_null()) {
    out.push_back({{"role", "system"}, {"content", system_content(system)}});
  }
  const FieldAt messages = member(body, "messages");
  require_array(messages);
  for (std::size_t i = 0; i < messages->size(); ++i) append_message(messages.item(i), out);
  return out;
}

/// Tools with a name and a schema. Those that Anthropic's servers run, or whose schema only its
/// models know, are left out.
Json convert_tools(const FieldAt& tools, const Remark& remark) {
  require_array(tools);
  Json out = Json::array();
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const FieldAt tool = tools.item(i);
    require_object(tool);
    const std::string type = string_or(tool, "type", "custom");
    if (type != "custom") {
      remark(
          fmt::format("{}: a tool of type {} is left out, only client tools with a schema are "
                      "supported",
                      tool.path, quoted(type)));
      continue;
    }
    Json function = {{"name", require_string(tool, "name")}};
    const std::string description = string_or(tool, "description", "");
    if (!description.empty()) function["description"] = description;
    const FieldAt schema = member(tool, "input_schema");
    if (!schema->is_null()) require_object(schema);
    function["parameters"] = schema->is_null() ? Json::object() : *schema;
    Json converted = {{"type", "function"}};
    converted["function"] = std::move(function);
    out.push_back(std::move(converted));
  }
  return out;
}

void convert_tool_choice(const FieldAt& choice, Json& chat) {
  require_object(choice);
  const std::string type = require_string(choice, "type");
  if (type == "auto" || type == "none") {
    chat["tool_choice"] = type;
  } else if (type == "any") {
    chat["tool_choice"] = "required";
  } else if (type == "tool") {
    chat["tool_choice"] = {{"type", "function"}};
    chat["tool_choice"]["function"] = {{"name", require_string(choice, "name")}};
  } else {
    refuse_field(
        choice.path + ".type",
        fmt::format("must be \"auto\", \"any\", \"tool\" or \"none\", not {}", quoted(type)));
  }
  if (boolean_or(choice, "disable_parallel_tool_use", false)) chat["parallel_tool_calls"] = false;
}

/// A variable of the template, unless the client set it itself.
void set_thinking(Json& chat, const FieldAt& body, bool on) {
  const FieldAt own = member(body, "chat_template_kwargs");
  if (!own->is_null()) require_object(own);
  Json& variables = chat["chat_template_kwargs"];
  if (!variables.is_object()) variables = Json::object();
  if (!variables.contains("enable_thinking")) variables["enable_thinking"] = on;
}

void convert_thinking(const FieldAt& body, Json& chat) {
  const FieldAt thinking = member(body, "thinking");
  if (thinking->is_null()) return;
  require_object(thinking);
  const std::string type = require_string(thinking, "type");
  if (type == "adaptive") return;
  if (type == "disabled") return set_thinking(chat, body, false);
  if (type != "enabled") {
    refuse_field(
        thinking.path + ".type",
        fmt::format("must be \"enabled\", \"disabled\" or \"adaptive\", not {}", quoted(type)));
  }
  const FieldAt budget = member(thinking, "budget_tokens");
  if (!budget->is_null() && !budget->is_number_unsigned()) {
    refuse_field(budget.path, "must be a whole number that is not negative");
  }
  chat["thinking_budget_tokens"] = budget->is_null() ? Json(kDefaultThinkingBudget) : *budget;
  set_thinking(chat, body, true);
}

/// Structured output, in its present and its first spelling.
void convert_output_format(const FieldAt& body, Json& chat) {
  const FieldAt config = member(body, "output_config");
  if (!config->is_null()) require_object(config);
  FieldAt format = member(config, "format");
  if (format->is_null()) format = member(body, "output_format");
  if (format->is_null()) return;
  require_object(format);
  const std::string type = require_string(format, "type");
  if (type != "json_schema") {
    refuse_field(format.path + ".type",
                 fmt::format("must be \"json_schema\", not {}", quoted(type)));
  }
  const FieldAt schema = member(format, "schema");
  require_object(schema);
  chat["response_format"] = {{"type", "json_schema"}};
  chat["response_format"]["json_schema"] = {{"schema", *schema}};
}

Json convert_stops(const FieldAt& stops) {
  require_array(stops);
  for (std::size_t i = 0; i < stops->size(); ++i) {
    const FieldAt stop = stops.item(i);
    if (!stop->is_string()) refuse_type(stop, "a string");
  }
  return *stops;
}

}  // namespace

std::string without_stamp(std::string system_text) {
  constexpr std::string_view kHeader = "x-anthropic-billing-header:";
  constexpr std::string_view kKey = "cch=";
  constexpr std::size_t kStampSize = 5;
  if (!system_text.starts_with(kHeader)) return system_text;
  const std::size_t key = system_text.find(kKey, kHeader.size());
  if (key == std::string::npos) return system_text;
  const std::size_t stamp = key + kKey.size();
  const std::size_t end = stamp + kStampSize;
  if (end >= system_text.size() || system_text[end] != ';') return system_text;
  return system_text.replace(stamp, kStampSize, kStampSize, 'f');
}

Json messages_to_chat(const Json& body, const Remark& remark) {
  const FieldAt root{&body, ""};
  // The conversation may be large: only what stays as it is gets copied.
  Json chat =
      copy_without(body, {"system", "messages", "tools", "tool_choice", "stop_sequences",
                          "thinking", "metadata", "output_config", "output_format", "mcp_servers"});
  chat["messages"] = convert_messages(root);
  if (const FieldAt tools = member(root, "tools"); !tools->is_null()) {
    chat["tools"] = convert_tools(tools, remark);
  }
  if (const FieldAt choice = member(root, "tool_choice"); !choice->is_null()) {
    convert_tool_choice(choice, chat);
  }
  if (const FieldAt stops = member(root, "stop_sequences"); !stops->is_null()) {
    chat["stop"] = convert_stops(stops);
  }
  const FieldAt limit = member(root, "max_tokens");
  if (limit->is_null()) {
    chat["max_tokens"] = kDefaultMaxTokens;
  } else if (!limit->is_number_integer()) {
    refuse_type(limit, "a whole number");
  }
  convert_thinking(root, chat);
  convert_output_format(root, chat);
  return chat;
}

}  // namespace foretoken::api
