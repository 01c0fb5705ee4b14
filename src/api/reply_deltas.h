// From the text of a chat reply to deltas: the reply parser's events, with calls counted and named
// and reasoning put where the request wants it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/chat_request.h"
#include "api/chat_run.h"
#include "chat/reply_parser.h"

namespace foretoken::api {

class ReplyDeltas {
 public:
  explicit ReplyDeltas(const ChatRequest& request);

  /// What this piece of text makes final.
  std::vector<ChatDelta> feed(std::string_view text);
  /// What was held back; the reply is complete afterwards.
  std::vector<ChatDelta> finish();

  /// Whether the text so far ends inside thinking, as far as the parser has seen it close.
  bool in_reasoning() const { return in_reasoning_; }
  /// The whole reply as the deltas told it; calls that broke off are not in it.
  const chat::Reply& reply() const { return reply_; }
  const std::vector<std::string>& call_ids() const { return call_ids_; }
  /// Calls that began and broke off.
  int n_abandoned() const { return n_abandoned_; }

 private:
  std::vector<ChatDelta> convert(const std::vector<chat::ReplyEvent>& events);
  void add_text(std::vector<ChatDelta>& out, ChatDelta::Kind kind, std::string text);
  void add_reasoning(std::vector<ChatDelta>& out, const std::string& text);
  void leave_reasoning(std::vector<ChatDelta>& out);
  void add_call_event(std::vector<ChatDelta>& out, const chat::ReplyEvent& event);

  bool parse_;
  bool reasoning_in_content_;
  chat::ReplyParser parser_;
  bool in_reasoning_;
  bool wrote_think_tag_ = false;  // reasoning_in_content_: an opening tag is out, no closing one
  chat::Reply reply_;
  chat::Reply::Call call_;  // the one that is being written
  int n_calls_ = 0;
  std::string call_id_;
  std::vector<std::string> call_ids_;
  int n_abandoned_ = 0;
};

}  // namespace foretoken::api
