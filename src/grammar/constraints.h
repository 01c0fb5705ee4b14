// Constraints on a reply, made from what a request asks for: a GBNF grammar, a JSON schema, the
// syntax of tool calls, a budget for thinking. Each is a sampling::TokenConstraint; one reply may
// have several phases (thinking, then content or calls).
// Source: docs/grammar.md.
#pragma once

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sampling/token_constraint.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::grammar {

/// The vocabulary prepared for matching: every token's bytes in a trie. Made once per model,
/// immutable, shared by all constraints; the tokenizer must outlive it.
class TokenTrie;
std::shared_ptr<const TokenTrie> make_token_trie(const tokenizer::Tokenizer& tokenizer);

/// GBNF text for a JSON schema; `null` schema: any JSON object. Throws RequestError naming the
/// keyword and its path for what is malformed, unsupported or beyond the limits (size, depth,
/// alternatives: schema bombs).
std::string json_schema_to_gbnf(const nlohmann::ordered_json& schema);

enum class ToolChoice { Auto, None, Required };

struct ReplyConstraintOptions {
  /// At most one of these three.
  std::string gbnf;                              ///< root rule "root"
  std::optional<nlohmann::ordered_json> schema;  ///< response_format, json_schema
  nlohmann::ordered_json tools;                  ///< OpenAI layout; calls must be well formed

  bool grammar_lazy = false;                  ///< gbnf only: wait for a trigger
  std::vector<std::string> grammar_triggers;  ///< texts

  ToolChoice tool_choice = ToolChoice::Auto;
  std::string tool_name;  ///< with Required: only this function
  bool parallel_tool_calls = true;

  /// The prompt ended inside <think>: gbnf, schema and required calls begin after </think>.
  bool starts_in_reasoning = false;
  int reasoning_budget = -1;  ///< tokens of thinking; then the message and </think> are forced
  std::string reasoning_message;
  /// Set from outside to end thinking now (the page's button); may be null.
  std::shared_ptr<std::atomic<bool>> end_reasoning;
};

/// Null when nothing constrains the reply. Throws RequestError (grammar syntax with line and
/// column, unknown tool name, conflicting options).
std::unique_ptr<sampling::TokenConstraint> make_reply_constraint(
    const std::shared_ptr<const TokenTrie>& trie, const ReplyConstraintOptions& options);

}  // namespace foretoken::grammar
