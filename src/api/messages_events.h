// Answers of /v1/messages (Anthropic): the message and its events.
// Source: docs/http-api.md, "Anthropic messages"; Anthropic's public API reference, "Streaming".
#pragma once

#include <string>

#include "api/dialect.h"

namespace foretoken::api {

struct MessagesSettings {
  std::string id;        ///< "msg_..."
  std::string model;     ///< as the answer names it
  bool timings = false;  ///< message_delta carries `timings`
};

/// Blocks follow each other: each is closed before the next one opens, and their indices count up.
/// A tool call that breaks off leaves a tool_use block with incomplete input, and its raw text
/// follows in a text block.
class MessagesWriter final : public DialectWriter {
 public:
  explicit MessagesWriter(MessagesSettings settings) : settings_(std::move(settings)) {}

  DialectEvents start(int n_prompt, int n_cached) override;
  /// None: Anthropic's pings say that the prompt is still being processed.
  DialectEvents progress(int processed, int total, int cached, double ms) override;
  DialectEvents token(const std::vector<ChatDelta>& deltas,
                      const scheduler::Timings& timings) override;
  DialectEvents finish(const std::vector<ChatDelta>& deltas, const ChatFinish& finish) override;
  DialectEvents fail(const Json& error) override;
  Json whole(const ChatFinish& finish) override;

  /// The record that keeps a silent stream alive.
  static std::string ping();

 private:
  enum class Block { None, Thinking, Text, ToolUse };

  void append(DialectEvents& events, const ChatDelta& delta);
  void append_text(DialectEvents& events, Block block, const std::string& text);
  void open(DialectEvents& events, Block block, Json content_block);
  void close(DialectEvents& events);
  void append_delta(DialectEvents& events, Json delta) const;
  Json message(Json content, Json stop_reason, Json stop_sequence, Json usage) const;

  MessagesSettings settings_;
  Block open_ = Block::None;
  int index_ = -1;  // of the block that is open, or of the last one
};

}  // namespace foretoken::api
