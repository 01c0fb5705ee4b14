// parse_chat_request: a body in the OpenAI chat layout to a prompt, sampling and constraints.
// Source: docs/http-api.md, "Chat completions".
#include "api/chat_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "api/chat_messages.h"
#include "api/chat_run.h"
#include "api/field_reader.h"
#include "api/request_body.h"
#include "base/error.h"
#include "base/text.h"
#include "chat/prompt_renderer.h"
#include "chat/reply_parser.h"

namespace foretoken::api {
namespace {

bool has_tool(const Json& tools, const std::string& name) {
  return std::ranges::any_of(
      tools, [&](const Json& tool) { return tool.at("function").at("name") == name; });
}

/// auto, none, required; {"type": "function", "function": {"name"}} means that one.
void read_tool_choice(const Json& body, ChatRequest& out) {
  const Json* choice = find_field(body, "tool_choice");
  if (choice == nullptr) return;
  std::string kind;
  if (choice->is_string()) {
    kind = choice->get<std::string>();
  } else if (const Json* type = find_field(*choice, "type"); type != nullptr && type->is_string()) {
    kind = type->get<std::string>();
  }
  if (kind == "auto") {
    out.tool_choice = grammar::ToolChoice::Auto;
  } else if (kind == "none") {
    out.tool_choice = grammar::ToolChoice::None;
  } else if (kind == "required") {
    out.tool_choice = grammar::ToolChoice::Required;
  } else if (kind == "function" && choice->is_object()) {
    const Json* function = find_field(*choice, "function");
    const Json* name =
        function != nullptr ? find_field(*function, "name") : find_field(*choice, "name");
    if (name == nullptr || !name->is_string()) {
      refuse_field("tool_choice", "the function's name is missing");
    }
    out.tool_choice = grammar::ToolChoice::Required;
    out.tool_name = name->get<std::string>();
    if (out.tools.is_null() || !has_tool(out.tools, out.tool_name)) {
      refuse_field("tool_choice", fmt::format("there is no tool named {}", quoted(out.tool_name)));
    }
  } else {
    refuse_field("tool_choice",
                 "expected \"auto\", \"none\", \"required\" or {\"type\": \"function\", "
                 "\"function\": {\"name\": ...}}");
  }
  if (out.tool_choice == grammar::ToolChoice::Required && out.tools.is_null()) {
    refuse_field("tool_choice", "a call is required, but the request offers no tools");
  }
}

void read_tools(const FieldReader& read, const Json& body, ChatRequest& out) {
  if (const Json* tools = find_field(body, "tools")) {
    if (tools->is_array() && tools->empty()) {
      out.tools = nullptr;
    } else {
      out.tools = chat::normalise_tools(*tools);
    }
  }
  read_tool_choice(body, out);
  out.parallel_tool_calls = read.boolean({"parallel_tool_calls"}, true);
}

std::optional<Json> response_schema(const Json& body) {
  const Json* format = find_field(body, "response_format");
  if (format == nullptr) return std::nullopt;
  if (!format->is_object()) refuse_field("response_format", "must be an object");
  const Json* type = find_field(*format, "type");
  if (type == nullptr || *type == "text") return std::nullopt;
  if (*type == "json_object") {
    const Json* schema = find_field(*format, "schema");
    return checked_schema(schema != nullptr ? *schema : Json::object(), "response_format.schema");
  }
  if (*type == "json_schema") {
    const Json* wrapper = find_field(*format, "json_schema");
    const Json* schema = wrapper != nullptr ? find_field(*wrapper, "schema") : nullptr;
    return checked_schema(schema != nullptr ? *schema : Json::object(),
                          "response_format.json_schema.schema");
  }
  refuse_field("response_format",
               fmt::format("type must be \"text\", \"json_object\" or \"json_schema\", but got {}",
                           type->dump()));
}

/// At most one constraint remains; what the request says beats what the command line says.
void settle_constraints(const Json& body, ChatRequest& out) {
  RequestFields& fields = out.fields;
  const Json* grammar = find_field(body, "grammar");
  const bool own_grammar =
      grammar != nullptr && grammar->is_string() && !grammar->get_ref<const std::string&>().empty();
  const bool own_schema = find_field(body, "json_schema") != nullptr;
  if (auto schema = response_schema(body)) {
    if (own_grammar) {
      throw RequestError("Cannot use both response_format and grammar: leave one of them out");
    }
    // {"type": "json_object"} without a schema asks for any object; a json_schema says more.
    const Json* own = find_field(body["response_format"], "schema");
    const bool vague = body["response_format"]["type"] == "json_object" && own == nullptr;
    if (!(vague && own_schema)) fields.schema = std::move(schema);
    fields.grammar.clear();
  }
  if (!out.parses_tool_calls()) return;
  if (own_grammar) throw RequestError("Cannot use custom grammar constraints with tools.");
  // The command line's gives way to calls; the request's own holds for a reply that calls nothing.
  fields.grammar.clear();
  if (!own_schema && !response_schema(body)) fields.schema.reset();
}

/// The template's variables: the command line's, the request's over them, effort, thinking.
void read_thinking(const FieldReader& read, const Context& context, const Json& body,
                   chat::RenderOptions& render, ChatRequest& out) {
  const Defaults& defaults = context.defaults;
  Json variables = defaults.template_kwargs.is_object() ? defaults.template_kwargs : Json::object();
  if (const Json* own = find_field(body, "chat_template_kwargs")) {
    if (!own->is_object()) refuse_field("chat_template_kwargs", "must be an object");
    for (const auto& [key, value] : own->items()) variables[key] = value;
  }
  if (defaults.reasoning == "on") render.enable_thinking = true;
  if (defaults.reasoning == "off") render.enable_thinking = false;

  std::string effort = defaults.reasoning_effort;
  if (const Json* own = find_field(variables, "reasoning_effort"); own && own->is_string()) {
    effort = own->get<std::string>();
  }
  effort = read.text({"reasoning_effort"}, effort);
  variables.erase("reasoning_effort");
  if (effort == "none") {
    render.enable_thinking = false;
  } else if (!effort.empty()) {
    variables["reasoning_effort"] = effort;
  }

  if (const auto found = variables.find("enable_thinking"); found != variables.end()) {
    if (!found->is_boolean() && !found->is_null()) {
      throw RequestError(fmt::format(
          "invalid type for \"enable_thinking\" (expected boolean, got {})", found->type_name()));
    }
    if (found->is_boolean() && effort != "none") render.enable_thinking = found->get<bool>();
    variables.erase("enable_thinking");
  }

  out.reasoning_budget = read.small({"reasoning_budget_tokens", "thinking_budget_tokens"}, -1, -1);
  if (out.reasoning_budget < 0) out.reasoning_budget = defaults.reasoning_budget;
  if (out.reasoning_budget == 0) render.enable_thinking = false;
  out.reasoning_message =
      read.text({"reasoning_budget_message"}, defaults.reasoning_budget_message);
  out.reasoning_control = read.boolean({"reasoning_control"}, false);
  out.reasoning_format =
      reasoning_format_of(read.text({"reasoning_format"}, defaults.reasoning_format));
  render.extra = std::move(variables);
}

/// logprobs: true means 20 alternatives, top_logprobs says how many instead.
void read_logprobs(const FieldReader& read, const ChatRequest& request, RequestFields& fields) {
  const bool wanted = read.boolean({"logprobs"}, false);
  const bool says_how_many = read.find({"top_logprobs"}).value != nullptr;
  if (wanted) {
    if (fields.stream && !request.tools.is_null()) {
      throw RequestError("logprobs is not supported with tools + stream");
    }
    fields.want_logprobs = true;
    fields.n_probs = read.small({"top_logprobs"}, 20, 0, kMaxProbabilities);
  } else {
    if (says_how_many) throw RequestError("top_logprobs requires logprobs to be set to true");
    fields.n_probs = read.small({"n_probs"}, 0, 0, kMaxProbabilities);
    fields.want_logprobs = fields.n_probs > 0;
  }
}

std::vector<tokenizer::Segment> to_tokenizer(const std::vector<chat::Segment>& segments) {
  std::vector<tokenizer::Segment> out;
  out.reserve(segments.size());
  for (const chat::Segment& segment : segments) out.push_back({segment.text, segment.trusted});
  return out;
}

/// What the template itself wrote: a user who types <think> opens nothing.
std::string trusted_text(const std::vector<chat::Segment>& segments) {
  std::string text;
  for (const chat::Segment& segment : segments) {
    if (segment.trusted) text += segment.text;
  }
  return text;
}

void render_prompt(const Context& context, const std::vector<chat::Message>& messages,
                   const chat::PromptOptions& options, ChatRequest& out) {
  const std::vector<chat::Segment> segments = context.prompts->render(messages, options);
  out.prompt_text = chat::join(segments);
  out.prompt = context.tokenizer->encode(to_tokenizer(segments));
  out.starts_in_reasoning = chat::opens_reasoning(trusted_text(segments));
  if (out.prompt.empty()) throw RequestError("the chat template made an empty prompt");
  if (options.render.add_generation_prompt && !segments.empty() && segments.back().trusted) {
    const std::string& end = segments.back().text;
    const std::size_t turn = end.rfind("<|im_start|>");
    if (turn != std::string::npos) out.generation_prompt = end.substr(turn);
  }
}

}  // namespace

ReasoningFormat reasoning_format_of(const std::string& name) {
  if (name == "auto" || name == "deepseek") return ReasoningFormat::Deepseek;
  if (name == "none") return ReasoningFormat::None;
  if (name == "deepseek-legacy") return ReasoningFormat::DeepseekLegacy;
  refuse_field(
      "reasoning_format",
      fmt::format("expected auto, none, deepseek or deepseek-legacy, not {}", quoted(name)));
}

const char* name_of(ReasoningFormat format) {
  switch (format) {
    case ReasoningFormat::None:
      return "none";
    case ReasoningFormat::Deepseek:
      return "deepseek";
    case ReasoningFormat::DeepseekLegacy:
      return "deepseek-legacy";
  }
  return "";
}

std::shared_ptr<const ChatRequest> parse_chat_request(const Context& context, const Json& body) {
  auto out = std::make_shared<ChatRequest>();
  const FieldReader read(context, body);
  const std::vector<chat::Message> messages = read_messages(body);
  out->parse_reply = !context.defaults.skip_chat_parsing;
  read_tools(read, body, *out);
  out->fields = read_request_fields(context, body);
  read_logprobs(read, *out, out->fields);
  settle_constraints(body, *out);

  chat::PromptOptions options;
  read_thinking(read, context, body, options.render, *out);
  options.render.tools = out->tools;
  options.render.special_tokens = {{"bos_token", context.model.bos_token},
                                   {"eos_token", context.model.eos_token}};
  options.preserve_reasoning = context.defaults.reasoning_preserve;
  options.empty_think = context.defaults.empty_think;
  options.continue_final =
      continues_final_message(body, messages, context.defaults.prefill_assistant);
  options.render.add_generation_prompt =
      !options.continue_final && read.boolean({"add_generation_prompt"}, true);
  render_prompt(context, messages, options, *out);
  return out;
}

int count_prompt_tokens(const ChatRequest& request) {
  return static_cast<int>(request.prompt.size());
}

std::string prompt_text(const ChatRequest& request) { return request.prompt_text; }

}  // namespace foretoken::api
