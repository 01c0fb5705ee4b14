// The syntax of this family's tool calls as rules: tags around names and values, values typed by
// each tool's schema.
// Source: docs/grammar.md, "Tool calls"; docs/chat-template.md, "Replies" for the parser's side.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "grammar/rules.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::grammar {

inline constexpr std::string_view kOpenCall = "<tool_call>";
inline constexpr std::string_view kCloseCall = "</tool_call>";
inline constexpr std::string_view kEndOfArgument = "\n</parameter>";

struct ToolCallOptions {
  std::string only;      ///< name of the one function that may be called; empty: any
  bool parallel = true;  ///< several calls in a row
};

/// Calls, beginning behind the first <tool_call> and ending with the reply. `tools` in the OpenAI
/// layout, at least one. `rules` has add_json_rules. Throws RequestError for tools that are
/// malformed, `only` among none of them, or names that the tags cannot carry. A parameter's schema
/// that cannot be converted restricts nothing: its value is free text.
ExprId tool_calls(Rules& rules, const nlohmann::ordered_json& tools,
                  const tokenizer::Tokenizer& tokenizer, const ToolCallOptions& options);

/// A tag: its text, and where the vocabulary has it as a control token, which is no text, that.
ExprId tag(Rules& rules, const tokenizer::Tokenizer& tokenizer, std::string_view text);

}  // namespace foretoken::grammar
