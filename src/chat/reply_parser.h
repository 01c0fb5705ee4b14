// What the model writes, taken apart as it arrives: reasoning, content, tool calls.
//
// A state machine over text that may be cut anywhere. It emits as early as it can and holds back
// only what might be the beginning of a tag, so no event ever has to be taken back, with one
// exception: a tool call that breaks off is abandoned and its raw text becomes content.
// Grammar and rules: docs/chat-template.md, "Replies".
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace foretoken::chat {

struct ReplyEvent {
  enum class Kind {
    Reasoning,      ///< `text`: more of the thinking
    Content,        ///< `text`: more of the answer
    CallBegin,      ///< `text`: the function's name
    CallArguments,  ///< `text`: more of the arguments' JSON object
    CallEnd,        ///< the arguments are a complete JSON object
    CallAbandoned,  ///< the call broke off; Content events with its raw text follow
  };
  Kind kind;
  std::string text;
  int call = -1;  ///< counts calls from 0, abandoned ones included; -1 for text

  bool operator==(const ReplyEvent&) const = default;
};

/// Everything said so far.
struct Reply {
  struct Call {
    std::string name;
    std::string arguments;  ///< text of a JSON object

    bool operator==(const Call&) const = default;
  };
  std::string reasoning;
  std::string content;
  std::vector<Call> calls;  ///< complete ones only

  bool operator==(const Reply&) const = default;
};

struct ReplyParserOptions {
  /// The prompt ended inside an open <think>; see opens_reasoning().
  bool starts_in_reasoning = true;
  /// False: <tool_call> is text like any other.
  bool parse_tool_calls = true;
  /// The tools that were offered, in the OpenAI layout; their schemas say which arguments are
  /// numbers, objects and so on. Null: all arguments are strings.
  nlohmann::ordered_json tools;
};

class ReplyParser {
 public:
  explicit ReplyParser(ReplyParserOptions options);
  ReplyParser(ReplyParser&&) noexcept;
  ReplyParser& operator=(ReplyParser&&) noexcept;
  ReplyParser(const ReplyParser&) = delete;
  ReplyParser& operator=(const ReplyParser&) = delete;
  ~ReplyParser();

  /// Takes the next piece of text. Pieces of whole UTF-8 characters give events of whole
  /// characters. Neighbouring events of a text kind are merged. Never throws for any text.
  std::vector<ReplyEvent> feed(std::string_view piece);
  /// The model stopped. Call once; feed() nothing afterwards.
  std::vector<ReplyEvent> finish();

  const Reply& reply() const;

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

/// Whether the text of a prompt ends inside an open <think> block.
bool opens_reasoning(std::string_view prompt);

}  // namespace foretoken::chat
