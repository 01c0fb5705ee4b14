// See prompt_renderer.h.
#include "chat/prompt_renderer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "chat/family_renderer.h"
#include "chat/jinja/error.h"

namespace foretoken::chat {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPreserve = "preserve_thinking";
constexpr std::string_view kNumbersMedia = "add_vision_id";
constexpr std::string_view kThinkOpen = "<think>\n";

/// Whether a variable can matter to a template: a name that its source does not spell cannot.
bool is_mentioned(const ChatTemplate& chat_template, const std::string& name) {
  return chat_template.source().find(name) != std::string::npos;
}

/// The options of our own renderer, or nothing when a variable is for the template to read.
std::optional<FamilyOptions> to_family_options(const ChatTemplate& chat_template,
                                               const PromptOptions& options) {
  FamilyOptions family;
  family.add_generation_prompt = options.render.add_generation_prompt;
  family.enable_thinking = options.render.enable_thinking;
  family.preserve_reasoning = options.preserve_reasoning;
  family.empty_think = options.empty_think;
  family.tools = &options.render.tools;
  const Json& extra = options.render.extra;
  if (!extra.is_null() && !extra.is_object()) return std::nullopt;
  for (const auto& [name, value] : extra.items()) {
    if (name == kPreserve && value.is_boolean()) {
      family.preserve_reasoning = value.get<bool>();
    } else if (name == kNumbersMedia && value.is_boolean()) {
      family.numbers_media = value.get<bool>();
    } else if (name == "messages" || name == "tools" || name == "add_generation_prompt" ||
               is_mentioned(chat_template, name)) {
      return std::nullopt;
    }
  }
  const Json& tokens = options.render.special_tokens;
  if (!tokens.is_null() && !tokens.is_object()) return std::nullopt;
  for (const auto& [name, value] : tokens.items()) {
    if (is_mentioned(chat_template, name)) return std::nullopt;
  }
  return family;
}

bool has_late_system_message(const std::vector<Message>& messages) {
  return std::any_of(messages.begin() + (messages.empty() ? 0 : 1), messages.end(),
                     [](const Message& message) { return message.role == "system"; });
}

/// The words of a message that is to be continued.
std::string text_to_continue(const Message& message) {
  if (message.content.is_null()) return {};
  if (message.content.is_string()) return message.content.get<std::string>();
  std::string text;
  for (const Json& part : message.content) {
    const auto words = part.find("text");
    if (words == part.end() || !words->is_string()) {
      throw RequestError("the last message cannot be continued: it has parts other than text");
    }
    text += words->get_ref<const std::string&>();
  }
  return text;
}

void append(std::vector<Segment>& segments, std::string_view text, bool trusted) {
  if (text.empty()) return;
  if (!segments.empty() && segments.back().trusted == trusted) {
    segments.back().text += text;
  } else {
    segments.push_back({std::string(text), trusted});
  }
}

/// Puts the beginning of a reply behind the prompt that asks for it.
void append_beginning(std::vector<Segment>& segments, const Message& message) {
  const std::string content = text_to_continue(message);
  const bool thinking =
      !segments.empty() && segments.back().trusted && segments.back().text.ends_with(kThinkOpen);
  if (thinking) {
    append(segments, message.reasoning.value_or(""), false);
    if (!content.empty()) append(segments, "\n</think>\n\n", true);
  }
  append(segments, content, false);
}

}  // namespace

PromptRenderer::PromptRenderer(std::shared_ptr<const ChatTemplate> chat_template)
    : template_(std::move(chat_template)), family_(FamilyRenderer::recognise(*template_)) {}

PromptRenderer::~PromptRenderer() = default;

std::vector<Segment> PromptRenderer::render(const std::vector<Message>& messages,
                                            const PromptOptions& options) const {
  if (!options.continue_final) return render_whole(messages, options);
  if (messages.empty() || messages.back().role != "assistant") {
    throw RequestError("only an assistant's message at the end of the list can be continued");
  }
  if (!messages.back().tool_calls.empty()) {
    throw RequestError("an assistant's message with tool calls cannot be continued");
  }
  PromptOptions before = options;
  before.render.add_generation_prompt = true;
  std::vector<Segment> segments = render_whole({messages.begin(), messages.end() - 1}, before);
  append_beginning(segments, messages.back());
  return segments;
}

std::vector<Segment> PromptRenderer::render_whole(const std::vector<Message>& messages,
                                                  const PromptOptions& options) const {
  if (family_ != nullptr) {
    if (const auto family = to_family_options(*template_, options)) {
      if (auto segments = family_->render(messages, *family)) return *std::move(segments);
    }
  }
  try {
    return interpret(messages, options);
  } catch (const TemplateError& error) {
    if (error.cause() != TemplateError::Cause::Raised || !has_late_system_message(messages)) throw;
  }
  std::vector<Message> merged = messages;
  merge_system_messages(merged);
  return interpret(merged, options);
}

std::vector<Segment> PromptRenderer::interpret(const std::vector<Message>& messages,
                                               const PromptOptions& options) const {
  RenderOptions render = options.render;
  const std::string name(kPreserve);
  if (options.preserve_reasoning) {
    if (render.extra.is_null()) render.extra = Json::object();
    if (render.extra.is_object() && !render.extra.contains(name)) {
      render.extra[name] = *options.preserve_reasoning;
    }
  }
  return template_->render(to_json(messages), render);
}

}  // namespace foretoken::chat
