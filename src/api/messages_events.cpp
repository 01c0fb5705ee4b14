// See messages_events.h.
#include "api/messages_events.h"

#include <utility>

#include "api/json_output.h"
#include "api/stats_json.h"

namespace foretoken::api {
namespace {

/// Ids of calls as this dialect writes them.
std::string tool_use_id(const std::string& call_id) { return "toolu_" + call_id; }

/// Tokens taken from the cache do not count as input.
Json usage_at_start(int n_prompt, int n_cached) {
  return {{"input_tokens", n_prompt - n_cached},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", n_cached},
          {"output_tokens", 0}};
}

std::string stop_reason(const ChatFinish& finish) {
  switch (finish.reason) {
    case ChatFinish::Reason::ToolCalls:
      return "tool_use";
    case ChatFinish::Reason::Length:
      return "max_tokens";
    case ChatFinish::Reason::Stop:
    case ChatFinish::Reason::Cancelled:
    case ChatFinish::Reason::Error:
      break;  // the last two never get here: they are errors
  }
  return finish.stopping_word.empty() ? "end_turn" : "stop_sequence";
}

Json stop_sequence(const ChatFinish& finish) {
  return finish.stopping_word.empty() ? Json() : Json(finish.stopping_word);
}

/// The text of a JSON object, as the reply parser guarantees.
Json parse_input(const std::string& arguments) {
  Json input = Json::parse(arguments, nullptr, false);
  return input.is_object() ? input : Json::object();
}

Json tool_use(const std::string& call_id, const std::string& name, Json input) {
  return {{"type", "tool_use"},
          {"id", tool_use_id(call_id)},
          {"name", name},
          {"input", std::move(input)}};
}

}  // namespace

std::string MessagesWriter::ping() { return sse_record({{"type", "ping"}}, "ping"); }

Json MessagesWriter::message(Json content, Json stop_reason, Json stop_sequence, Json usage) const {
  return {{"id", settings_.id},
          {"type", "message"},
          {"role", "assistant"},
          {"content", std::move(content)},
          {"model", settings_.model},
          {"stop_reason", std::move(stop_reason)},
          {"stop_sequence", std::move(stop_sequence)},
          {"usage", std::move(usage)}};
}

DialectEvents MessagesWriter::start(int n_prompt, int n_cached) {
  Json data = {{"type", "message_start"}};
  data["message"] = message(Json::array(), nullptr, nullptr, usage_at_start(n_prompt, n_cached));
  return {{"message_start", std::move(data)}};
}

DialectEvents MessagesWriter::progress(int, int, int, double) { return {}; }

DialectEvents MessagesWriter::token(const std::vector<ChatDelta>& deltas,
                                    const scheduler::Timings&) {
  DialectEvents events;
  for (const ChatDelta& delta : deltas) append(events, delta);
  return events;
}

void MessagesWriter::append(DialectEvents& events, const ChatDelta& delta) {
  switch (delta.kind) {
    case ChatDelta::Kind::Reasoning:
      return append_text(events, Block::Thinking, delta.text);
    case ChatDelta::Kind::Content:
      return append_text(events, Block::Text, delta.text);
    case ChatDelta::Kind::CallBegin:
      return open(events, Block::ToolUse, tool_use(delta.call_id, delta.text, Json::object()));
    case ChatDelta::Kind::CallArguments:
      if (delta.text.empty()) return;
      return append_delta(events, {{"type", "input_json_delta"}, {"partial_json", delta.text}});
    case ChatDelta::Kind::CallEnd:
      return close(events);
  }
}

void MessagesWriter::append_text(DialectEvents& events, Block block, const std::string& text) {
  if (text.empty()) return;
  const bool thinking = block == Block::Thinking;
  const char* const kind = thinking ? "thinking" : "text";
  if (open_ != block) {
    Json start = {{"type", kind}, {kind, ""}};
    if (thinking) start["signature"] = "";
    open(events, block, std::move(start));
  }
  append_delta(events, {{"type", thinking ? "thinking_delta" : "text_delta"}, {kind, text}});
}

void MessagesWriter::open(DialectEvents& events, Block block, Json content_block) {
  close(events);
  open_ = block;
  ++index_;
  events.push_back({"content_block_start",
                    {{"type", "content_block_start"},
                     {"index", index_},
                     {"content_block", std::move(content_block)}}});
}

void MessagesWriter::close(DialectEvents& events) {
  if (open_ == Block::None) return;
  if (open_ == Block::Thinking) {
    // Nobody can sign here, but clients wait for the signature before they end such a block.
    append_delta(events, {{"type", "signature_delta"}, {"signature", ""}});
  }
  open_ = Block::None;
  events.push_back({"content_block_stop", {{"type", "content_block_stop"}, {"index", index_}}});
}

void MessagesWriter::append_delta(DialectEvents& events, Json delta) const {
  events.push_back(
      {"content_block_delta",
       {{"type", "content_block_delta"}, {"index", index_}, {"delta", std::move(delta)}}});
}

DialectEvents MessagesWriter::finish(const std::vector<ChatDelta>& deltas,
                                     const ChatFinish& finish) {
  DialectEvents events = token(deltas, finish.timings);
  close(events);
  Json data = {{"type", "message_delta"}};
  data["delta"] = {{"stop_reason", stop_reason(finish)}, {"stop_sequence", stop_sequence(finish)}};
  data["usage"] = {{"output_tokens", finish.usage.completion_tokens}};
  if (settings_.timings) data["timings"] = timings_json(finish.timings);
  events.push_back({"message_delta", std::move(data)});
  events.push_back({"message_stop", {{"type", "message_stop"}}});
  return events;
}

DialectEvents MessagesWriter::fail(const Json& error) { return {{"error", error}}; }

Json MessagesWriter::whole(const ChatFinish& finish) {
  Json content = Json::array();
  const chat::Reply& reply = finish.reply;
  if (!reply.reasoning.empty()) {
    content.push_back({{"type", "thinking"}, {"thinking", reply.reasoning}, {"signature", ""}});
  }
  if (!reply.content.empty()) {
    content.push_back({{"type", "text"}, {"text", reply.content}});
  }
  for (std::size_t i = 0; i < reply.calls.size(); ++i) {
    content.push_back(tool_use(finish.call_ids.at(i), reply.calls[i].name,
                               parse_input(reply.calls[i].arguments)));
  }
  Json usage = usage_at_start(finish.usage.prompt_tokens, finish.usage.cached_tokens);
  usage["output_tokens"] = finish.usage.completion_tokens;
  return message(std::move(content), stop_reason(finish), stop_sequence(finish), std::move(usage));
}

}  // namespace foretoken::api
