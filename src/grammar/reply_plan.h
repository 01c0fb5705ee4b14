// What a request asks of its reply, compiled: which grammar begins where.
// Source: docs/grammar.md, "Replies".
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grammar/constraints.h"
#include "grammar/program.h"

namespace foretoken::grammar {

struct ReplyPlan {
  /// Where the program can begin.
  enum Entry : std::size_t {
    kContent,         ///< the content
    kBehindThinking,  ///< the blank line behind </think>, then the content
    kBehindOpenCall,  ///< a call, its <tool_call> read
  };
  std::optional<Program> program;  ///< absent: content is never restricted

  bool match_content = false;  ///< content begins with the program; else a trigger is waited for
  /// Texts that start the program; what it reads begins with the trigger itself, or behind it for
  /// <tool_call>.
  std::vector<std::string> triggers;
  bool watch_for_calls = false;  ///< <tool_call> is such a trigger, the only one
};

/// Throws RequestError as make_reply_constraint.
ReplyPlan make_reply_plan(const TokenTrie& trie, const ReplyConstraintOptions& options);

}  // namespace foretoken::grammar
