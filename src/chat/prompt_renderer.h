// A conversation to prompt text, whatever template the model file carries. This is the front door
// that servers use.
//
// A template that is recognised as one of the Qwen3.5 family is rendered by our own code, which
// gives the same bytes and also renders what those templates refuse: late system messages, no user
// message. Any other template runs in the interpreter, and its refusals are the client's errors.
// Source: docs/chat-template.md, "The family's renderer".
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "chat/chat_template.h"
#include "chat/conversation.h"

namespace foretoken::chat {

class FamilyRenderer;

struct PromptOptions {
  /// What templates know: tools (see normalise_tools), enable_thinking, extra variables. A Boolean
  /// "preserve_thinking" among the extra variables beats `preserve_reasoning` below.
  RenderOptions render;
  /// Keeps the reasoning of all assistant turns that have some, not only of those behind the last
  /// query. Absent: what the template does by itself.
  std::optional<bool> preserve_reasoning;
  /// False: assistant turns of the history that have no reasoning get no empty pair of <think>
  /// tags. Needs a recognised template; others ignore it.
  bool empty_think = true;
  /// The last message is an assistant's and is to be continued: its text ends the prompt. Requires
  /// such a message, without tool calls; `render.add_generation_prompt` does not matter then.
  bool continue_final = false;
};

/// Immutable; one object may render on many threads at once.
class PromptRenderer {
 public:
  /// Tries the template on some hundred probes, once (milliseconds).
  explicit PromptRenderer(std::shared_ptr<const ChatTemplate> chat_template);
  PromptRenderer(const PromptRenderer&) = delete;
  PromptRenderer& operator=(const PromptRenderer&) = delete;
  ~PromptRenderer();

  /// Throws TemplateError (a RequestError) with the template's own text when it refuses the
  /// conversation, RequestError when an option is malformed. Late system messages are moved to the
  /// front if, and only if, the template refuses them where they are.
  std::vector<Segment> render(const std::vector<Message>& messages,
                              const PromptOptions& options) const;

  /// Whether the template is one that we render by our own code.
  bool recognised() const { return family_ != nullptr; }
  const ChatTemplate& chat_template() const { return *template_; }

 private:
  std::vector<Segment> render_whole(const std::vector<Message>& messages,
                                    const PromptOptions& options) const;
  std::vector<Segment> interpret(const std::vector<Message>& messages,
                                 const PromptOptions& options) const;

  std::shared_ptr<const ChatTemplate> template_;
  std::unique_ptr<const FamilyRenderer> family_;
};

}  // namespace foretoken::chat
