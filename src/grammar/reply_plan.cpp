// See reply_plan.h.
#include "grammar/reply_plan.h"

#include <fmt/format.h>

#include "base/error.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/token_trie.h"
#include "grammar/tool_calls.h"

namespace foretoken::grammar {
namespace {

constexpr std::size_t kMaxTriggers = 64;
constexpr std::size_t kMaxTriggerBytes = 1024;

bool offers_tools(const ReplyConstraintOptions& options) {
  return options.tool_choice != ToolChoice::None && !options.tools.is_null() &&
         !(options.tools.is_array() && options.tools.empty());
}

void check(const ReplyConstraintOptions& options) {
  if (!options.gbnf.empty() && options.schema) {
    throw RequestError("Field 'grammar': cannot be combined with a JSON schema");
  }
  if (!options.gbnf.empty() && offers_tools(options)) {
    throw RequestError("Field 'grammar': cannot be combined with tools");
  }
  if (options.tool_choice == ToolChoice::Required && !offers_tools(options)) {
    throw RequestError("Field 'tool_choice': a call is required, but there are no tools");
  }
  if (options.gbnf.empty() || !options.grammar_lazy) return;
  if (options.grammar_triggers.empty()) {
    throw RequestError("Field 'grammar_triggers': a lazy grammar needs at least one");
  }
  if (options.grammar_triggers.size() > kMaxTriggers) {
    throw RequestError(fmt::format("Field 'grammar_triggers': {} of them; the limit is {}",
                                   options.grammar_triggers.size(), kMaxTriggers));
  }
  for (const std::string& trigger : options.grammar_triggers) {
    if (trigger.empty() || trigger.size() > kMaxTriggerBytes) {
      throw RequestError(fmt::format("Field 'grammar_triggers': expected texts of 1 to {} bytes",
                                     kMaxTriggerBytes));
    }
  }
}

ExprId content_of_gbnf(Rules& rules, const TokenTrie& trie, const std::string& text) {
  GbnfOptions options;
  options.n_tokens = trie.tokenizer().n_real_vocab();
  options.find_token = [&](std::string_view spelling) -> std::optional<TokenId> {
    const std::vector<TokenId> ids = trie.tokenizer().encode(spelling);
    return ids.size() == 1 ? std::optional(ids.front()) : std::nullopt;
  };
  parse_gbnf(rules, text, options);
  return rules.rule(require_root(rules));
}

ExprId content_of_schema(Rules& rules, const Json& schema) {
  const Json any_object = Json::object({{"type", "object"}});
  SchemaBudget budget;
  return SchemaConverter(rules, schema.is_null() ? any_object : schema, budget, "#")
      .json_document();
}

}  // namespace

ReplyPlan make_reply_plan(const TokenTrie& trie, const ReplyConstraintOptions& options) {
  check(options);
  Rules rules;
  ReplyPlan plan;
  std::vector<ExprId> content;
  ExprId calls = rules.literal("");
  if (!options.gbnf.empty()) {
    content.push_back(content_of_gbnf(rules, trie, options.gbnf));
    if (options.grammar_lazy) plan.triggers = options.grammar_triggers;
  }
  const bool required = options.tool_choice == ToolChoice::Required;
  if (options.schema || offers_tools(options)) add_json_rules(rules);
  if (options.schema && !required) content.push_back(content_of_schema(rules, *options.schema));
  if (offers_tools(options)) {
    const ToolCallOptions call_options{required ? options.tool_name : std::string(),
                                       options.parallel_tool_calls};
    calls = tool_calls(rules, options.tools, trie.tokenizer(), call_options);
    if (required || !content.empty()) {
      content.push_back(rules.sequence({tag(rules, trie.tokenizer(), kOpenCall), calls}));
    } else {
      plan.triggers = {std::string(kOpenCall)};
    }
    plan.watch_for_calls = true;
  }
  if (content.empty() && plan.triggers.empty()) return plan;
  plan.match_content = plan.triggers.empty();
  const ExprId body = content.empty() ? calls : rules.choice(std::move(content));
  const ExprId behind_thinking = rules.sequence({rules.literal("\n\n"), body});
  plan.program = compile(rules, {body, behind_thinking, calls});
  return plan;
}

}  // namespace foretoken::grammar
