// Expressions, by recursive descent, with Jinja's precedences. From loosest to tightest:
//   x if c else y; or; and; not; comparisons and in; + -; ~; * / // %; **; unary - +;
//   then calls, attributes, subscripts; then filters (|) and tests (is).
// Source: docs/chat-template.md, "Expressions"; Jinja 3.1's template designer documentation.
#pragma once

#include "chat/jinja/ast.h"
#include "chat/jinja/token_stream.h"

namespace foretoken::chat::jinja {

/// One expression; a comma list becomes a tuple. Throws TemplateError.
ExpressionPtr parse_expression_list(TokenStream& tokens);
/// One expression without commas.
ExpressionPtr parse_expression(TokenStream& tokens);
/// What `for` iterates over: its `if` belongs to the loop, not to a conditional expression.
ExpressionPtr parse_iterable(TokenStream& tokens);
/// `name | name(...)`: filters applied to a block's text.
ExpressionPtr parse_filter_chain(TokenStream& tokens);

}  // namespace foretoken::chat::jinja
