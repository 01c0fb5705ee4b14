// See responses_events.h.
#include "api/responses_events.h"

#include <utility>

#include "api/request_body.h"
#include "api/stats_json.h"

namespace foretoken::api {
namespace {

constexpr const char* kInProgress = "in_progress";
constexpr const char* kCompleted = "completed";
constexpr const char* kIncomplete = "incomplete";

Json output_text(const std::string& text) {
  return {{"type", "output_text"},
          {"annotations", Json::array()},
          {"logprobs", Json::array()},
          {"text", text}};
}

Json reasoning_item(const std::string& id, const char* status) {
  return {{"id", id},
          {"type", "reasoning"},
          {"summary", Json::array()},
          {"content", Json::array()},
          {"encrypted_content", ""},
          {"status", status}};
}

Json message_item(const std::string& id, const char* status) {
  return {{"id", id},
          {"type", "message"},
          {"role", "assistant"},
          {"content", Json::array()},
          {"status", status}};
}

Json call_item(const std::string& name, const std::string& call_id, const char* status) {
  return {{"id", "fc_" + call_id}, {"type", "function_call"}, {"call_id", "call_" + call_id},
          {"name", name},          {"arguments", ""},         {"status", status}};
}

Json reasoning_text(const std::string& text) {
  return {{"type", "reasoning_text"}, {"text", text}};
}

Json usage(const ChatUsage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

void attach_timings(DialectEvents& events, const scheduler::Timings& timings) {
  if (!events.empty()) events.back().data["timings"] = timings_json(timings);
}

}  // namespace

Json responses_echo(const Json& body) {
  const auto or_else = [&](const char* key, Json fallback) {
    const Json* value = find_field(body, key);
    return value == nullptr ? std::move(fallback) : *value;
  };
  Json echo = Json::object();
  echo["instructions"] = or_else("instructions", nullptr);
  echo["max_output_tokens"] = or_else("max_output_tokens", nullptr);
  echo["metadata"] = or_else("metadata", Json::object());
  echo["parallel_tool_calls"] = or_else("parallel_tool_calls", true);
  echo["previous_response_id"] = nullptr;
  echo["reasoning"] = or_else("reasoning", nullptr);
  echo["store"] = false;
  echo["temperature"] = or_else("temperature", nullptr);
  echo["text"] = or_else("text", {{"format", {{"type", "text"}}}});
  echo["tool_choice"] = or_else("tool_choice", "auto");
  echo["tools"] = or_else("tools", Json::array());
  echo["top_p"] = or_else("top_p", nullptr);
  return echo;
}

ResponsesWriter::ResponsesWriter(ResponsesSettings settings, MakeId make_id)
    : settings_(std::move(settings)), make_id_(std::move(make_id)), id_("resp_" + make_id_()) {}

Json ResponsesWriter::response(const char* status) const {
  Json json = {{"id", id_},
               {"object", "response"},
               {"created_at", settings_.created_at},
               {"completed_at", nullptr},
               {"status", status},
               {"error", nullptr},
               {"incomplete_details", nullptr},
               {"model", settings_.model},
               {"output", output_},
               {"usage", nullptr}};
  for (const auto& [key, value] : settings_.echo.items()) json[key] = value;
  return json;
}

Json ResponsesWriter::final_response(const ChatFinish& finish) const {
  const bool cut = finish.reason == ChatFinish::Reason::Length;
  Json json = response(cut ? kIncomplete : kCompleted);
  if (cut) json["incomplete_details"] = {{"reason", "max_output_tokens"}};
  const double seconds = (finish.timings.prompt_ms + finish.timings.predicted_ms) / 1e3;
  json["completed_at"] = settings_.created_at + static_cast<std::int64_t>(seconds);
  json["usage"] = usage(finish.usage);
  return json;
}

void ResponsesWriter::emit(DialectEvents& events, const char* type, Json members) {
  Json data = {{"type", type}, {"sequence_number", sequence_number_++}};
  for (auto& [key, value] : members.items()) data[key] = std::move(value);
  events.push_back({type, std::move(data)});
}

void ResponsesWriter::emit_in_item(DialectEvents& events, const char* type, Json members) {
  Json place = {{"item_id", item_["id"]}, {"output_index", output_.size()}};
  if (open_ != Item::FunctionCall) place["content_index"] = 0;
  for (auto& [key, value] : members.items()) place[key] = std::move(value);
  emit(events, type, std::move(place));
}

DialectEvents ResponsesWriter::start(int, int) {
  DialectEvents events;
  emit(events, "response.created", {{"response", response(kInProgress)}});
  emit(events, "response.in_progress", {{"response", response(kInProgress)}});
  return events;
}

DialectEvents ResponsesWriter::progress(int processed, int total, int cached, double ms) {
  DialectEvents events;
  emit(events, "response.in_progress",
       {{"response", response(kInProgress)},
        {"prompt_progress", progress_json(processed, total, cached, ms)}});
  return events;
}

DialectEvents ResponsesWriter::token(const std::vector<ChatDelta>& deltas,
                                     const scheduler::Timings& timings) {
  DialectEvents events;
  for (const ChatDelta& delta : deltas) append(events, delta);
  if (settings_.timings_per_token) attach_timings(events, timings);
  return events;
}

void ResponsesWriter::append(DialectEvents& events, const ChatDelta& delta) {
  switch (delta.kind) {
    case ChatDelta::Kind::Reasoning:
      return append_reasoning(events, delta.text);
    case ChatDelta::Kind::Content:
      return append_words(events, delta.text);
    case ChatDelta::Kind::CallBegin:
      return begin_call(events, delta.text, delta.call_id);
    case ChatDelta::Kind::CallArguments:
      if (delta.text.empty()) return;
      text_ += delta.text;
      return emit_in_item(events, "response.function_call_arguments.delta",
                          {{"delta", delta.text}});
    case ChatDelta::Kind::CallEnd:
      return end_item(events, kCompleted);
  }
}

void ResponsesWriter::append_reasoning(DialectEvents& events, const std::string& text) {
  if (text.empty()) return;
  if (open_ != Item::Reasoning) {
    begin_item(events, Item::Reasoning, reasoning_item("rs_" + make_id_(), kInProgress));
    emit_in_item(events, "response.content_part.added", {{"part", reasoning_text("")}});
  }
  text_ += text;
  emit_in_item(events, "response.reasoning_text.delta", {{"delta", text}});
}

void ResponsesWriter::append_words(DialectEvents& events, const std::string& text) {
  if (text.empty()) return;
  if (open_ != Item::Message) {
    begin_item(events, Item::Message, message_item("msg_" + make_id_(), kInProgress));
    emit_in_item(events, "response.content_part.added", {{"part", output_text("")}});
  }
  text_ += text;
  emit_in_item(events, "response.output_text.delta",
               {{"delta", text}, {"logprobs", Json::array()}});
}

void ResponsesWriter::begin_call(DialectEvents& events, const std::string& name,
                                 const std::string& call_id) {
  begin_item(events, Item::FunctionCall, call_item(name, call_id, kInProgress));
}

void ResponsesWriter::begin_item(DialectEvents& events, Item kind, Json item) {
  // Only a call can still be open when something else begins and be unfinished: it broke off.
  end_item(events, open_ == Item::FunctionCall ? kIncomplete : kCompleted);
  open_ = kind;
  item_ = std::move(item);
  text_.clear();
  emit(events, "response.output_item.added", {{"output_index", output_.size()}, {"item", item_}});
}

void ResponsesWriter::end_item(DialectEvents& events, const char* status) {
  switch (open_) {
    case Item::None:
      return;
    case Item::Reasoning:
      emit_in_item(events, "response.reasoning_text.done", {{"text", text_}});
      emit_in_item(events, "response.content_part.done", {{"part", reasoning_text(text_)}});
      item_["content"] = Json::array({reasoning_text(text_)});
      break;
    case Item::Message:
      emit_in_item(events, "response.output_text.done",
                   {{"text", text_}, {"logprobs", Json::array()}});
      emit_in_item(events, "response.content_part.done", {{"part", output_text(text_)}});
      item_["content"] = Json::array({output_text(text_)});
      break;
    case Item::FunctionCall:
      emit_in_item(events, "response.function_call_arguments.done",
                   {{"name", item_["name"]}, {"arguments", text_}});
      item_["arguments"] = text_;
      break;
  }
  item_["status"] = status;
  open_ = Item::None;
  emit(events, "response.output_item.done", {{"output_index", output_.size()}, {"item", item_}});
  output_.push_back(std::move(item_));
}

DialectEvents ResponsesWriter::finish(const std::vector<ChatDelta>& deltas,
                                      const ChatFinish& finish) {
  DialectEvents events;
  for (const ChatDelta& delta : deltas) append(events, delta);
  const bool cut = finish.reason == ChatFinish::Reason::Length;
  end_item(events, cut || open_ == Item::FunctionCall ? kIncomplete : kCompleted);
  emit(events, "response.completed", {{"response", final_response(finish)}});
  attach_timings(events, finish.timings);
  return events;
}

DialectEvents ResponsesWriter::fail(const Json& error) {
  DialectEvents events;
  const Json& inner = error["error"];
  Json failed = response("failed");
  failed["error"] = {{"code", inner["type"]}, {"message", inner["message"]}};
  emit(events, "response.failed", {{"response", std::move(failed)}});
  // Clients that do not know that event know this one; the last member is what chat streams send.
  emit(events, "error",
       {{"code", inner["type"]},
        {"message", inner["message"]},
        {"param", nullptr},
        {"error", inner}});
  return events;
}

Json ResponsesWriter::whole(const ChatFinish& finish) {
  const chat::Reply& reply = finish.reply;
  // Only the last item of a reply that was cut off is incomplete.
  const bool cut = finish.reason == ChatFinish::Reason::Length;
  if (!reply.reasoning.empty()) {
    const bool last = reply.content.empty() && reply.calls.empty();
    Json item = reasoning_item("rs_" + make_id_(), cut && last ? kIncomplete : kCompleted);
    item["content"] = Json::array({reasoning_text(reply.reasoning)});
    output_.push_back(std::move(item));
  }
  if (!reply.content.empty()) {
    Json item =
        message_item("msg_" + make_id_(), cut && reply.calls.empty() ? kIncomplete : kCompleted);
    item["content"] = Json::array({output_text(reply.content)});
    output_.push_back(std::move(item));
  }
  for (std::size_t i = 0; i < reply.calls.size(); ++i) {
    Json item = call_item(reply.calls[i].name, finish.call_ids.at(i), kCompleted);
    item["arguments"] = reply.calls[i].arguments;
    output_.push_back(std::move(item));
  }
  return final_response(finish);
}

}  // namespace foretoken::api
