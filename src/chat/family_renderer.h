// The chat template of the Qwen3.5 family, written in C++.
//
// The template exists in a few versions that differ in small ways; a FamilyStyle says in which.
// What they accept is rendered to the same bytes with the same marks of trust. What they refuse
// without need is rendered too: a system message behind the first becomes a system turn where it
// stands, which keeps the text before it (and so every cached prefix) as it was, and a conversation
// without a user's question is no error.
// Source: docs/chat-template.md, "What the template writes" and "The family's renderer".
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "chat/chat_template.h"
#include "chat/conversation.h"

namespace foretoken::chat {

/// How versions of the template differ.
struct FamilyStyle {
  /// What happens to the reasoning of assistant turns before the last query.
  enum class Preserve {
    Unknown,   ///< it is dropped; the variable preserve_thinking means nothing (3.5)
    OptIn,     ///< kept if preserve_thinking is true (3.6)
    ByDefault  ///< kept unless preserve_thinking is false (3.8)
  };
  bool thinks_by_default = true;  ///< when enable_thinking is not defined
  Preserve preserve = Preserve::Unknown;
  bool echoes_roles = true;     ///< a role's name is copied from the message, so it is not trusted
  bool splits_thoughts = true;  ///< reasoning is cut out of content that holds </think>
  bool json_scalars = false;    ///< arguments write true and null, not True and None

  bool operator==(const FamilyStyle&) const = default;
};

struct FamilyOptions {
  bool add_generation_prompt = true;
  std::optional<bool> enable_thinking;            ///< absent: the style's default
  std::optional<bool> preserve_reasoning;         ///< absent: the style's default
  bool empty_think = true;                        ///< false: no empty pair of tags in the history
  bool numbers_media = false;                     ///< add_vision_id
  const nlohmann::ordered_json* tools = nullptr;  ///< array or null; borrowed
};

/// Immutable; one object may render on many threads at once.
class FamilyRenderer {
 public:
  explicit FamilyRenderer(FamilyStyle style) : style_(style) {}

  /// Finds the style in which our rendering of every probe conversation equals the template's,
  /// marks included; null when there is none, so that a changed template is never misrendered.
  static std::unique_ptr<const FamilyRenderer> recognise(const ChatTemplate& chat_template);

  /// Nothing for conversations that the template itself has to judge: no message at all, an unknown
  /// role, a tool's answer in first place, content that is neither text, picture nor video, media
  /// inside a system message. Throws TemplateError beyond the limits of jinja::Limits.
  ///
  /// With preserve_reasoning under a style that does not know it, earlier turns that have reasoning
  /// keep it and the others stay as that style writes them, without an empty pair.
  std::optional<std::vector<Segment>> render(std::span<const Message> messages,
                                             const FamilyOptions& options) const;

  const FamilyStyle& style() const { return style_; }

 private:
  FamilyStyle style_;
};

}  // namespace foretoken::chat
