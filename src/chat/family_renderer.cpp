// See family_renderer.h.
#include "chat/family_renderer.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "chat/jinja/text_builder.h"
#include "chat/jinja/to_text.h"
#include "chat/jinja/unicode.h"
#include "chat/segments.h"

namespace foretoken::chat {
namespace {

using Json = nlohmann::ordered_json;
using jinja::Ends;
using jinja::Text;

// The fixed texts of the template (docs/chat-template.md, "What the template writes"). All are
// trusted.
constexpr std::string_view kToolsHeading =
    "<|im_start|>system\n# Tools\n\nYou have access to the following functions:\n\n<tools>";
constexpr std::string_view kToolsInstructions =
    "\n</tools>\n\nIf you choose to call a function ONLY reply in the following format with NO "
    "suffix:\n\n<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\n"
    "value_1\n</parameter>\n<parameter=example_parameter_2>\nThis is the value for the second "
    "parameter\nthat can span\nmultiple lines\n</parameter>\n</function>\n</tool_call>\n\n"
    "<IMPORTANT>\nReminder:\n- Function calls MUST follow the specified format: an inner "
    "<function=...></function> block must be nested within <tool_call></tool_call> XML tags\n"
    "- Required parameters MUST be specified\n- You may provide optional reasoning for your "
    "function call in natural language BEFORE the function call, but NOT after\n- If there is no "
    "function call available, answer the question like normal with your current knowledge and do "
    "not tell the user about function calls\n</IMPORTANT>";
constexpr std::string_view kTurnEnd = "<|im_end|>\n";

enum class PartKind { Text, Image, Video, Other };

PartKind kind_of(const Json& part) {
  if (!part.is_object()) return PartKind::Other;
  const auto type = part.find("type");
  const auto is_type = [&](const char* name) { return type != part.end() && *type == name; };
  if (part.contains("image") || part.contains("image_url") || is_type("image")) {
    return PartKind::Image;
  }
  if (part.contains("video") || is_type("video")) return PartKind::Video;
  const auto text = part.find("text");
  return text != part.end() && text->is_string() ? PartKind::Text : PartKind::Other;
}

bool is_covered(const Message& message) {
  const bool system = message.role == "system";
  if (!system && message.role != "user" && message.role != "assistant" && message.role != "tool") {
    return false;
  }
  if (message.content.is_null() || message.content.is_string()) return true;
  if (!message.content.is_array()) return false;
  return std::all_of(message.content.begin(), message.content.end(), [&](const Json& part) {
    const PartKind kind = kind_of(part);
    return system ? kind == PartKind::Text : kind != PartKind::Other;
  });
}

bool is_covered(std::span<const Message> messages) {
  // A tool's answer in first place: versions differ in whether its turn is opened.
  return !messages.empty() && messages.front().role != "tool" &&
         std::all_of(messages.begin(), messages.end(),
                     [](const Message& message) { return is_covered(message); });
}

Text trim(const Text& text) {
  const jinja::Range kept = jinja::trim_range(text.bytes(), Ends::Both, {}, true);
  return text.slice(kept.begin, kept.end);
}

/// One rendering: the text so far and the numbers of the media in it.
class Rendering {
 public:
  Rendering(const FamilyStyle& style, const FamilyOptions& options,
            std::span<const Message> messages)
      : style_(style), options_(options), messages_(messages), context_({}), out_(context_) {}

  std::vector<Segment> run() {
    const bool has_system = messages_.front().role == "system";
    write_opening(has_system);
    query_ = find_query();
    for (std::size_t i = has_system ? 1 : 0; i < messages_.size(); ++i) write_turn(i);
    if (options_.add_generation_prompt) write_generation_prompt();
    return to_segments(out_.text());
  }

 private:
  static constexpr std::ptrdiff_t kNoQuery = -1;

  void trusted(std::string_view text) { out_.append(text, true); }
  void untrusted(std::string_view text) { out_.append(text, false); }

  void write_opening(bool has_system) {
    const bool has_tools = options_.tools != nullptr && !options_.tools->empty();
    if (!has_tools && !has_system) return;
    const Text system = has_system ? words(messages_.front()) : Text();
    if (!has_tools) return write_plain_turn("system", system);
    trusted(kToolsHeading);
    for (const Json& tool : *options_.tools) {
      trusted("\n");
      jinja::append_json(out_, jinja::from_json(context_, tool, false), {});
    }
    trusted(kToolsInstructions);
    if (!system.empty()) {
      trusted("\n\n");
      out_.append(system);
    }
    trusted(kTurnEnd);
  }

  void write_plain_turn(std::string_view role, const Text& text) {
    open_turn(role);
    out_.append(text);
    trusted(kTurnEnd);
  }

  /// The opening of a user's or assistant's turn carries the message's own word in some versions.
  void open_turn(std::string_view role) {
    trusted("<|im_start|>");
    out_.append(role, !style_.echoes_roles || role == "system");
    trusted("\n");
  }

  /// A message's words, trimmed, and its media as placeholders.
  Text words(const Message& message) {
    if (message.content.is_null()) return {};
    if (message.content.is_string()) {
      return trim(Text(message.content.get_ref<const std::string&>(), false));
    }
    jinja::TextBuilder text(context_);
    for (const Json& part : message.content) {
      switch (kind_of(part)) {
        case PartKind::Text:
          text.append(part["text"].get_ref<const std::string&>(), false);
          break;
        case PartKind::Image:
          append_media(text, "Picture ", ++n_pictures_, "<|image_pad|>");
          break;
        case PartKind::Video:
          append_media(text, "Video ", ++n_videos_, "<|video_pad|>");
          break;
        case PartKind::Other:
          break;  // is_covered has refused it
      }
    }
    return trim(text.text());
  }

  void append_media(jinja::TextBuilder& text, std::string_view label, int number,
                    std::string_view pad) const {
    if (options_.numbers_media)
      text.append(std::string(label) + std::to_string(number) + ": ", true);
    text.append("<|vision_start|>", true);
    text.append(pad, true);
    text.append("<|vision_end|>", true);
  }

  /// The last user message that is not a tool's answer in disguise.
  std::ptrdiff_t find_query() {
    for (auto i = static_cast<std::ptrdiff_t>(messages_.size()) - 1; i >= 0; --i) {
      const Message& message = messages_[static_cast<std::size_t>(i)];
      if (message.role != "user") continue;
      const Text text = words(message);
      const std::string_view bytes = text.bytes();
      if (bytes.starts_with("<tool_response>") && bytes.ends_with("</tool_response>")) continue;
      n_pictures_ = n_videos_ = 0;  // nothing was shown yet
      return i;
    }
    n_pictures_ = n_videos_ = 0;
    return kNoQuery;
  }

  void write_turn(std::size_t index) {
    const Message& message = messages_[index];
    if (message.role == "assistant") return write_assistant(index);
    if (message.role == "tool") return write_tool_answer(index);
    write_plain_turn(message.role, words(message));
  }

  /// Answers in a row share one user turn.
  void write_tool_answer(std::size_t index) {
    const auto is_tool = [&](std::size_t i) { return messages_[i].role == "tool"; };
    if (!is_tool(index - 1)) trusted("<|im_start|>user");
    trusted("\n<tool_response>\n");
    out_.append(words(messages_[index]));
    trusted("\n</tool_response>");
    if (index + 1 == messages_.size() || !is_tool(index + 1)) trusted(kTurnEnd);
  }

  void write_assistant(std::size_t index) {
    const Message& message = messages_[index];
    Text content = words(message);
    Text reasoning;
    if (message.reasoning) {
      reasoning = trim(Text(*message.reasoning, false));
    } else if (style_.splits_thoughts) {
      reasoning = cut_out_reasoning(content);
    }
    open_turn("assistant");
    if (shows_reasoning(index, reasoning.empty())) {
      trusted("<think>\n");
      out_.append(reasoning);
      trusted("\n</think>\n\n");
    }
    out_.append(content);
    bool first = true;
    for (const ToolCall& call : message.tool_calls) {
      if (!first) {
        trusted("\n");
      } else if (!trim(content).empty()) {
        trusted("\n\n");
      }
      first = false;
      write_call(call);
    }
    trusted(kTurnEnd);
  }

  bool shows_reasoning(std::size_t index, bool empty) const {
    if (empty && !options_.empty_think) return false;
    if (static_cast<std::ptrdiff_t>(index) > query_) return true;
    switch (style_.preserve) {
      case FamilyStyle::Preserve::Unknown:
        return options_.preserve_reasoning.value_or(false) && !empty;
      case FamilyStyle::Preserve::OptIn:
        return options_.preserve_reasoning.value_or(false);
      case FamilyStyle::Preserve::ByDefault:
        return options_.preserve_reasoning.value_or(true);
    }
    return false;
  }

  /// What stands before the first </think> and behind the last <think> before that; `content` keeps
  /// what follows the last </think>.
  static Text cut_out_reasoning(Text& content) {
    constexpr std::string_view kOpen = "<think>";
    constexpr std::string_view kClose = "</think>";
    const std::string& bytes = content.bytes();
    const std::size_t close = bytes.find(kClose);
    if (close == std::string::npos) return {};
    const std::size_t open = std::string_view(bytes).substr(0, close).rfind(kOpen);
    const std::size_t begin = open == std::string::npos ? 0 : open + kOpen.size();
    Text reasoning = trim(content.slice(begin, close));
    const std::size_t behind = bytes.rfind(kClose) + kClose.size();
    const std::size_t rest = std::min(bytes.find_first_not_of('\n', behind), bytes.size());
    content = content.slice(rest, bytes.size());
    return reasoning;
  }

  void write_call(const ToolCall& call) {
    trusted("<tool_call>\n<function=");
    untrusted(call.name);
    trusted(">\n");
    for (const auto& [key, value] : call.arguments.items()) {
      trusted("<parameter=");
      untrusted(key);
      trusted(">\n");
      write_argument(value);
      trusted("\n</parameter>\n");
    }
    trusted("</function>\n</tool_call>");
  }

  void write_argument(const Json& json) {
    if (json.is_string()) return untrusted(json.get_ref<const std::string&>());
    const jinja::Value value = jinja::from_json(context_, json, false);
    if (json.is_structured() || style_.json_scalars) {
      jinja::append_json(out_, value, {});
    } else {
      jinja::append_str(out_, value);
    }
  }

  void write_generation_prompt() {
    const bool thinks = options_.enable_thinking.value_or(style_.thinks_by_default);
    trusted("<|im_start|>assistant\n<think>\n");
    if (!thinks) trusted("\n</think>\n\n");
  }

  const FamilyStyle& style_;
  const FamilyOptions& options_;
  std::span<const Message> messages_;
  jinja::Context context_;
  jinja::TextBuilder out_;
  std::ptrdiff_t query_ = kNoQuery;
  int n_pictures_ = 0;
  int n_videos_ = 0;
};

}  // namespace

std::optional<std::vector<Segment>> FamilyRenderer::render(std::span<const Message> messages,
                                                           const FamilyOptions& options) const {
  if (!is_covered(messages)) return std::nullopt;
  return Rendering(style_, options, messages).run();
}

}  // namespace foretoken::chat
