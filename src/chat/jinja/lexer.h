// Template source to tokens: plain text, the marks of tags, and what stands inside tags.
//
// White space is settled here, with the two options that chat templates assume: trim_blocks (the
// newline behind a statement tag or comment disappears) and lstrip_blocks (blanks between the start
// of a line and a statement tag or comment disappear), and the explicit '-' and '+' of each tag.
// Source: docs/chat-template.md, "White space"; Jinja 3.1, "Whitespace Control".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/error.h"

namespace foretoken::chat::jinja {

enum class TokenKind {
  Text,        ///< template text outside tags
  PrintBegin,  ///< {{
  PrintEnd,
  BlockBegin,  ///< {%
  BlockEnd,
  Name,
  String,  ///< `text` is the value, escapes resolved
  Integer,
  Float,
  Operator,
  End,
};

struct Token {
  TokenKind kind = TokenKind::End;
  std::string text;
  Position at;
};

/// Throws TemplateError (Syntax). The last token is End.
std::vector<Token> tokenize(std::string_view source);

}  // namespace foretoken::chat::jinja
