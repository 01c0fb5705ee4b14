// GBNF, the text form of grammars: reading and writing.
// The dialect is llama.cpp's; docs/grammar.md, "GBNF", describes it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/token.h"
#include "grammar/rules.h"

namespace foretoken::grammar {

/// The id of a token spelled exactly so ("<think>"), for token references.
using FindToken = std::function<std::optional<TokenId>(std::string_view)>;

struct GbnfOptions {
  FindToken find_token;  ///< empty: references by text are refused
  int n_tokens = 0;      ///< references by id must be below
};

/// Reads rules into `rules`; a rule defined twice means what it says last. Throws RequestError with
/// line and column: syntax, a rule without definition, an unknown token, a limit of rules.h. Left
/// recursion is not looked for.
void parse_gbnf(Rules& rules, std::string_view text, const GbnfOptions& options = {});

/// The rule "root". Throws RequestError when there is none.
RuleId require_root(Rules& rules);

/// Writes `root` and the rules it needs as GBNF, one per line. Expressions that GBNF lacks (Until,
/// AnyOrder) must not occur. Throws RequestError above kMaxGrammarBytes.
std::string to_gbnf(const Rules& rules, RuleId root);

}  // namespace foretoken::grammar
