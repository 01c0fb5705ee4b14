// For tests: a reply as a list of deltas, and what a writer makes of it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "api/dialect.h"

namespace foretoken::api {

struct ScriptedReply {
  std::vector<ChatDelta> deltas;  ///< one per token
  std::vector<ChatDelta> last;    ///< held back to the end
  ChatFinish finish;
};

inline ChatDelta reasoning(const std::string& text) {
  return {ChatDelta::Kind::Reasoning, text, -1, ""};
}
inline ChatDelta content(const std::string& text) {
  return {ChatDelta::Kind::Content, text, -1, ""};
}
inline ChatDelta call_begin(const std::string& name, const std::string& id) {
  return {ChatDelta::Kind::CallBegin, name, 0, id};
}
inline ChatDelta call_arguments(const std::string& text) {
  return {ChatDelta::Kind::CallArguments, text, 0, ""};
}
inline ChatDelta call_end() { return {ChatDelta::Kind::CallEnd, "", 0, ""}; }

/// 20 prompt tokens, 12 of them cached, 9 generated, 3 of these thinking. A call without its end
/// is not in the finished reply, as chat_run.h has it.
inline ScriptedReply script(std::vector<ChatDelta> deltas,
                            ChatFinish::Reason reason = ChatFinish::Reason::Stop) {
  ScriptedReply reply;
  chat::Reply::Call call;
  std::string id;
  int index = -1;
  for (ChatDelta& delta : deltas) {
    switch (delta.kind) {
      case ChatDelta::Kind::Reasoning:
        reply.finish.reply.reasoning += delta.text;
        break;
      case ChatDelta::Kind::Content:
        reply.finish.reply.content += delta.text;
        break;
      case ChatDelta::Kind::CallBegin:
        call = {delta.text, ""};
        id = delta.call_id;
        ++index;
        break;
      case ChatDelta::Kind::CallArguments:
        call.arguments += delta.text;
        break;
      case ChatDelta::Kind::CallEnd:
        reply.finish.reply.calls.push_back(call);
        reply.finish.call_ids.push_back(id);
        break;
    }
    if (delta.call >= 0) delta.call = index;
  }
  reply.deltas = std::move(deltas);
  reply.finish.reason = reason;
  reply.finish.usage.prompt_tokens = 20;
  reply.finish.usage.cached_tokens = 12;
  reply.finish.usage.completion_tokens = 9;
  reply.finish.usage.reasoning_tokens = 3;
  reply.finish.timings.cache_n = 12;
  reply.finish.timings.prompt_n = 8;
  reply.finish.timings.prompt_ms = 500.0;
  reply.finish.timings.predicted_n = 9;
  reply.finish.timings.predicted_ms = 1500.0;
  return reply;
}

/// The events behind those of start(): token by token, then the end.
template <class Writer>
DialectEvents stream(Writer writer, const ScriptedReply& reply) {
  writer.start(reply.finish.usage.prompt_tokens, reply.finish.usage.cached_tokens);
  DialectEvents events;
  const auto append = [&](DialectEvents more) {
    events.insert(events.end(), more.begin(), more.end());
  };
  for (const ChatDelta& delta : reply.deltas) append(writer.token({delta}, reply.finish.timings));
  append(writer.finish(reply.last, reply.finish));
  return events;
}

}  // namespace foretoken::api
