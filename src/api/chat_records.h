// JSON of chat completions: records of a stream and the whole answer. Pure functions.
// Source: OpenAI's API reference, "Chat completions"; docs/http-api.md.
#pragma once

#include <cstdint>
#include <string>

#include "api/chat_run.h"
#include "api/context.h"

namespace foretoken::api {

/// What every record of one answer repeats.
struct AnswerHead {
  std::string id;  ///< "chatcmpl-..."
  std::int64_t created = 0;
  std::string model;
  std::string fingerprint;
};
AnswerHead make_answer_head(const Context& context);
/// The model's id: its first alias.
std::string model_id(const Context& context);

/// A record with one choice. `finish_reason` may be null.
Json chat_chunk(const AnswerHead& head, int index, Json delta, Json finish_reason = nullptr);
/// The record behind the last choice, with usage.
Json chat_usage_chunk(const AnswerHead& head, const ChatUsage& usage);

/// {"role": "assistant", "content": null}
Json role_delta();
/// Null for what has no record of its own (the end of a call).
Json delta_json(const ChatDelta& delta);

/// "stop", "tool_calls" or "length".
const char* finish_reason_name(ChatFinish::Reason reason);
/// Content "" when there is none; reasoning_content and tool_calls only if there are some.
Json message_json(const chat::Reply& reply, const std::vector<std::string>& call_ids);

}  // namespace foretoken::api
