// See reply_constraint.h.
#include "api/reply_constraint.h"

#include "grammar/constraints.h"

namespace foretoken::api {
namespace {

grammar::ReplyConstraintOptions text_constraint(const RequestFields& fields) {
  grammar::ReplyConstraintOptions options;
  options.gbnf = fields.grammar;
  options.schema = fields.schema;
  options.grammar_lazy = fields.grammar_lazy && !fields.grammar.empty();
  if (options.grammar_lazy) options.grammar_triggers = fields.grammar_triggers;
  return options;
}

}  // namespace

std::unique_ptr<sampling::TokenConstraint> make_constraint(const Context& context,
                                                           const RequestFields& fields) {
  return grammar::make_reply_constraint(context.token_trie, text_constraint(fields));
}

std::unique_ptr<sampling::TokenConstraint> make_constraint(
    const Context& context, const ChatRequest& request,
    const std::shared_ptr<std::atomic<bool>>& end_reasoning) {
  grammar::ReplyConstraintOptions options = text_constraint(request.fields);
  if (request.parses_tool_calls()) {
    options.tools = request.tools;
    options.tool_choice = request.tool_choice;
    options.tool_name = request.tool_name;
    options.parallel_tool_calls = request.parallel_tool_calls;
  }
  options.starts_in_reasoning = request.starts_in_reasoning;
  if (request.starts_in_reasoning) {
    options.reasoning_budget = request.reasoning_budget;
    options.reasoning_message = request.reasoning_message;
    options.end_reasoning = end_reasoning;
  }
  return grammar::make_reply_constraint(context.token_trie, options);
}

}  // namespace foretoken::api
