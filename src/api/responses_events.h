// Answers of /v1/responses (OpenAI): the response object and its events.
// Source: docs/http-api.md, "Responses"; OpenAI's public API reference, "Streaming events".
#pragma once

#include <cstdint>
#include <string>

#include "api/dialect.h"

namespace foretoken::api {

struct ResponsesSettings {
  std::string model;            ///< as the answer names it
  std::int64_t created_at = 0;  ///< Unix seconds
  bool timings_per_token = false;
  /// Members of the request that a response object repeats: see responses_echo().
  Json echo = Json::object();
};

/// What a response repeats of its request: instructions, metadata, parallel_tool_calls,
/// temperature, tool_choice, tools, top_p, and so on; clients that check types expect them.
Json responses_echo(const Json& body);

/// Items follow each other: each ends before the next begins, and every event says where it
/// belongs. The answer to a reply that was cut off has the status "incomplete" and still comes in
/// the event response.completed, the only one that all clients wait for.
class ResponsesWriter final : public DialectWriter {
 public:
  ResponsesWriter(ResponsesSettings settings, MakeId make_id);

  DialectEvents start(int n_prompt, int n_cached) override;
  DialectEvents progress(int processed, int total, int cached, double ms) override;
  DialectEvents token(const std::vector<ChatDelta>& deltas,
                      const scheduler::Timings& timings) override;
  DialectEvents finish(const std::vector<ChatDelta>& deltas, const ChatFinish& finish) override;
  DialectEvents fail(const Json& error) override;
  Json whole(const ChatFinish& finish) override;

 private:
  enum class Item { None, Reasoning, Message, FunctionCall };

  Json response(const char* status) const;
  Json final_response(const ChatFinish& finish) const;

  void append(DialectEvents& events, const ChatDelta& delta);
  void append_reasoning(DialectEvents& events, const std::string& text);
  void append_words(DialectEvents& events, const std::string& text);
  void begin_call(DialectEvents& events, const std::string& name, const std::string& call_id);
  void begin_item(DialectEvents& events, Item kind, Json item);
  /// The item that is open is over. `status`: "completed" or "incomplete".
  void end_item(DialectEvents& events, const char* status);

  /// An event with its number.
  void emit(DialectEvents& events, const char* type, Json members);
  /// An event of the item that is open, with its place.
  void emit_in_item(DialectEvents& events, const char* type, Json members);

  ResponsesSettings settings_;
  MakeId make_id_;
  std::string id_;
  std::int64_t sequence_number_ = 0;

  Json output_ = Json::array();  // items that are over
  Item open_ = Item::None;
  Json item_;         // the one that is open, without its text
  std::string text_;  // of it: thoughts, words or arguments
};

}  // namespace foretoken::api
