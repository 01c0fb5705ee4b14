// A conversation: messages so far, the template that turns them into a prompt, and the model that
// answers. Earlier turns stay in the session, so a new one reads only what is new.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_template.h"
#include "responder.h"

namespace foretoken::tools {

struct DialogueOptions {
  std::string system;                ///< system prompt; empty: none
  std::optional<bool> thinking;      ///< enable_thinking; absent: as the template does by itself
  std::string template_source;       ///< empty: the model file's, else the built-in one
  nlohmann::ordered_json variables;  ///< further template variables; null: none
  bool show_control_tokens = false;  ///< hand the whole text out as answer, control tokens included
  bool split_thinking = true;        ///< false: thinking and its marks are part of the answer
  bool single_turn = false;          ///< no turn will follow: keep nothing for it
  engine::GenerateOptions generate;
};

/// Where a reply goes as it comes.
struct ReplySink {
  std::function<void(std::string_view)> thinking;
  std::function<void(std::string_view)> answer;
};

class Dialogue {
 public:
  /// Throws TemplateError for a template that cannot be parsed. `session` and `responder` must
  /// outlive it.
  Dialogue(const engine::Session& session, Responder& responder, const DialogueOptions& options);

  /// Says `text` and streams the answer. A turn without any answer (interrupted, or an error) is
  /// taken back, so that the conversation goes on as if it had not been. Throws RequestError where
  /// the turn does not fit or the template refuses it.
  ReplyReport say(const std::string& text, const InterruptScope& interrupt, const ReplySink& sink);
  /// Answers the last question again. Throws RequestError without one.
  ReplyReport answer_again(const InterruptScope& interrupt, const ReplySink& sink);

  void clear() { turns_.clear(); }
  void set_system(std::string text) { options_.system = std::move(text); }
  void set_thinking(bool on) { options_.thinking = on; }
  int n_turns() const { return static_cast<int>(turns_.size()); }

 private:
  struct Turn {
    std::string question;
    std::string thinking;
    std::string answer;
    /// Nothing was said to it yet. A turn that only got thinking stays in the conversation.
    bool is_open() const { return thinking.empty() && answer.empty(); }
  };
  ReplyReport answer_last(const InterruptScope& interrupt, const ReplySink& sink);
  nlohmann::ordered_json messages() const;
  std::vector<chat::Segment> render(bool open_answer) const;
  std::vector<TokenId> encode(const std::vector<chat::Segment>& text) const;
  std::size_t shared_with_next_turn(const std::vector<TokenId>& prompt) const;

  const engine::Session& session_;
  Responder& responder_;
  DialogueOptions options_;
  chat::ChatTemplate template_;
  std::vector<Turn> turns_;
};

}  // namespace foretoken::tools
