// Conversations to prompt text: a chat template (the Jinja program a model file carries, or our
// own) rendered over a list of messages.
//
// The result is not one string but segments, each marked trusted or not. Trusted text was written
// by the template's author and may spell control tokens such as <|im_start|>; untrusted text came
// in with a request and must be tokenized as plain text, so that no user can forge a turn.
// Source: docs/chat-template.md.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace foretoken::chat {

/// A stretch of prompt text. Neighbouring segments of one rendering differ in `trusted`.
struct Segment {
  std::string text;
  bool trusted = false;

  bool operator==(const Segment&) const = default;
};

struct RenderOptions {
  /// Ends the prompt with the opening of an assistant turn.
  bool add_generation_prompt = true;
  /// Left undefined in the template when absent; the template then decides by its own default.
  std::optional<bool> enable_thinking;
  /// Array of tool declarations (untrusted text); null = none.
  nlohmann::ordered_json tools;
  /// Object of further template variables, e.g. {"add_vision_id": true}; null = none. Their strings
  /// are untrusted. Keys that the engine sets itself ("messages", "tools", "add_generation_prompt",
  /// and "enable_thinking" when the option above is set) are refused.
  nlohmann::ordered_json extra;
  /// Object of variables that come with the model, not the request, and count as trusted, e.g.
  /// {"bos_token": "..."}; null = none.
  nlohmann::ordered_json special_tokens;
};

/// A parsed template. Immutable; one object may render on many threads at once.
class ChatTemplate {
 public:
  /// Parses `source`. Throws TemplateError with line and column when it is not in our Jinja subset.
  explicit ChatTemplate(std::string source);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;
  ~ChatTemplate();

  /// The template used for files that carry none: models/tiny/chat_template.jinja, compiled in.
  static const std::string& builtin_source();

  /// Renders `messages`, an array of message objects in the OpenAI chat layout (see conversation.h
  /// for typed messages and for the normalisation of tool-call arguments).
  /// Throws TemplateError when the template raises, asks for what is not supported, or exceeds the
  /// limits of jinja::Limits; RequestError when an option is malformed.
  std::vector<Segment> render(const nlohmann::ordered_json& messages,
                              const RenderOptions& options) const;

  const std::string& source() const { return source_; }

 private:
  struct Program;
  std::string source_;
  std::unique_ptr<Program> program_;
};

/// The whole text, marks dropped.
std::string join(std::span<const Segment> segments);

}  // namespace foretoken::chat
