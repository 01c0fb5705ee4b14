// See chat_records.h.
#include "api/chat_records.h"

#include <chrono>
#include <utility>

#include "api/random_id.h"
#include "api/stats_json.h"

namespace foretoken::api {
namespace {

void add_head(Json& record, const AnswerHead& head) {
  record["created"] = head.created;
  record["id"] = head.id;
  record["model"] = head.model;
  record["system_fingerprint"] = head.fingerprint;
  record["object"] = "chat.completion.chunk";
}

}  // namespace

std::string model_id(const Context& context) {
  return context.model.aliases.empty() ? context.model.path : context.model.aliases.front();
}

AnswerHead make_answer_head(const Context& context) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {.id = "chatcmpl-" + random_id(),
          .created = std::chrono::duration_cast<std::chrono::seconds>(now).count(),
          .model = model_id(context),
          .fingerprint = context.settings.build_info};
}

Json chat_chunk(const AnswerHead& head, int index, Json delta, Json finish_reason) {
  Json choice = Json::object();
  choice["finish_reason"] = std::move(finish_reason);
  choice["index"] = index;
  choice["delta"] = std::move(delta);
  Json record = Json::object();
  record["choices"] = Json::array();
  record["choices"].push_back(std::move(choice));
  add_head(record, head);
  return record;
}

Json chat_usage_chunk(const AnswerHead& head, const ChatUsage& usage) {
  Json record = Json::object();
  record["choices"] = Json::array();
  add_head(record, head);
  record["usage"] = usage_json(usage);
  return record;
}

Json role_delta() { return {{"role", "assistant"}, {"content", nullptr}}; }

Json delta_json(const ChatDelta& delta) {
  switch (delta.kind) {
    case ChatDelta::Kind::Reasoning:
      return {{"reasoning_content", delta.text}};
    case ChatDelta::Kind::Content:
      return {{"content", delta.text}};
    case ChatDelta::Kind::CallBegin: {
      Json call = {{"index", delta.call}, {"id", delta.call_id}, {"type", "function"}};
      call["function"] = Json{{"name", delta.text}};
      return {{"tool_calls", Json::array({std::move(call)})}};
    }
    case ChatDelta::Kind::CallArguments: {
      Json call = {{"index", delta.call}};
      call["function"] = Json{{"arguments", delta.text}};
      return {{"tool_calls", Json::array({std::move(call)})}};
    }
    case ChatDelta::Kind::CallEnd:
      return nullptr;
  }
  return nullptr;
}

const char* finish_reason_name(ChatFinish::Reason reason) {
  switch (reason) {
    case ChatFinish::Reason::Stop:
      return "stop";
    case ChatFinish::Reason::ToolCalls:
      return "tool_calls";
    case ChatFinish::Reason::Length:
    case ChatFinish::Reason::Cancelled:
    case ChatFinish::Reason::Error:
      return "length";
  }
  return "length";
}

Json message_json(const chat::Reply& reply, const std::vector<std::string>& call_ids) {
  Json message = {{"role", "assistant"}, {"content", reply.content}};
  if (!reply.reasoning.empty()) message["reasoning_content"] = reply.reasoning;
  if (reply.calls.empty()) return message;
  Json calls = Json::array();
  for (std::size_t i = 0; i < reply.calls.size(); ++i) {
    Json call = {{"type", "function"}};
    call["function"] = Json{{"name", reply.calls[i].name}, {"arguments", reply.calls[i].arguments}};
    call["id"] = i < call_ids.size() ? call_ids[i] : std::string();
    calls.push_back(std::move(call));
  }
  message["tool_calls"] = std::move(calls);
  return message;
}

}  // namespace foretoken::api
