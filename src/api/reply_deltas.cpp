// See reply_deltas.h.
#include "api/reply_deltas.h"

#include <utility>

#include "api/random_id.h"

namespace foretoken::api {
namespace {

chat::ReplyParserOptions parser_options(const ChatRequest& request) {
  chat::ReplyParserOptions options;
  options.starts_in_reasoning = request.starts_in_reasoning;
  options.parse_tool_calls = request.parses_tool_calls();
  options.tools = request.tools;
  return options;
}

}  // namespace

ReplyDeltas::ReplyDeltas(const ChatRequest& request)
    : parse_(request.parse_reply),
      reasoning_in_content_(request.reasoning_in_content()),
      parser_(parser_options(request)),
      in_reasoning_(request.starts_in_reasoning) {}

std::vector<ChatDelta> ReplyDeltas::feed(std::string_view text) {
  std::vector<ChatDelta> out;
  if (text.empty()) return out;
  if (parse_) return convert(parser_.feed(text));
  add_text(out, ChatDelta::Kind::Content, std::string(text));
  return out;
}

std::vector<ChatDelta> ReplyDeltas::finish() {
  if (!parse_) return {};
  return convert(parser_.finish());
}

std::vector<ChatDelta> ReplyDeltas::convert(const std::vector<chat::ReplyEvent>& events) {
  using Kind = chat::ReplyEvent::Kind;
  std::vector<ChatDelta> out;
  for (const chat::ReplyEvent& event : events) {
    switch (event.kind) {
      case Kind::Reasoning:
        add_reasoning(out, event.text);
        break;
      case Kind::Content:
        leave_reasoning(out);
        add_text(out, ChatDelta::Kind::Content, event.text);
        break;
      case Kind::CallBegin:
        leave_reasoning(out);
        add_call_event(out, event);
        break;
      case Kind::CallArguments:
      case Kind::CallEnd:
        add_call_event(out, event);
        break;
      case Kind::CallAbandoned:
        ++n_abandoned_;
        break;
    }
  }
  return out;
}

void ReplyDeltas::add_text(std::vector<ChatDelta>& out, ChatDelta::Kind kind, std::string text) {
  (kind == ChatDelta::Kind::Reasoning ? reply_.reasoning : reply_.content) += text;
  if (!out.empty() && out.back().kind == kind) {
    out.back().text += text;
    return;
  }
  ChatDelta delta;
  delta.kind = kind;
  delta.text = std::move(text);
  out.push_back(std::move(delta));
}

void ReplyDeltas::add_reasoning(std::vector<ChatDelta>& out, const std::string& text) {
  in_reasoning_ = true;
  if (!reasoning_in_content_) {
    add_text(out, ChatDelta::Kind::Reasoning, text);
    return;
  }
  // The opening tag stood in the prompt; clients that look for tags need to see it.
  if (!wrote_think_tag_) add_text(out, ChatDelta::Kind::Content, "<think>\n");
  wrote_think_tag_ = true;
  add_text(out, ChatDelta::Kind::Content, text);
}

void ReplyDeltas::leave_reasoning(std::vector<ChatDelta>& out) {
  in_reasoning_ = false;
  if (!wrote_think_tag_) return;
  wrote_think_tag_ = false;
  add_text(out, ChatDelta::Kind::Content, "\n</think>\n\n");
}

void ReplyDeltas::add_call_event(std::vector<ChatDelta>& out, const chat::ReplyEvent& event) {
  ChatDelta delta;
  delta.text = event.text;
  switch (event.kind) {
    case chat::ReplyEvent::Kind::CallBegin:
      delta.kind = ChatDelta::Kind::CallBegin;
      call_ = {event.text, ""};
      call_id_ = random_id();
      delta.call_id = call_id_;
      ++n_calls_;
      break;
    case chat::ReplyEvent::Kind::CallArguments:
      delta.kind = ChatDelta::Kind::CallArguments;
      call_.arguments += event.text;
      break;
    default:
      delta.kind = ChatDelta::Kind::CallEnd;
      reply_.calls.push_back(std::move(call_));
      call_ids_.push_back(call_id_);
      break;
  }
  delta.call = n_calls_ - 1;
  out.push_back(std::move(delta));
}

}  // namespace foretoken::api
