// Prompts for measuring drafts, by category: the bundled ones or a user's own file.
//
//   {"categories": [{"name": "code", "prompts": [PROMPT, ..]}, ..]}
//   PROMPT: "a question"  |  [MESSAGE, ..]  |  {"messages": [MESSAGE, ..], "tools": [TOOL, ..]}
// Messages and tools are in the OpenAI chat layout (chat/conversation.h).
// Source: docs/evaluation.md, "Acceptance".
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::eval {

struct AcceptancePrompt {
  nlohmann::ordered_json messages;  ///< as ChatTemplate::render takes them
  nlohmann::ordered_json tools;     ///< normalised declarations, or null
};

struct AcceptanceCategory {
  std::string name;
  std::vector<AcceptancePrompt> prompts;  ///< at least one
};

/// Reads the layout above; `what` names the source in errors. Throws RequestError that names the
/// member which is wrong, and for more than 1000 categories, 100 000 prompts or 64 MiB of text.
std::vector<AcceptanceCategory> parse_acceptance_prompts(std::string_view json_text,
                                                         std::string_view what);

/// The bundled ones: eight kinds of text, five prompts each.
std::vector<AcceptanceCategory> bundled_acceptance_categories();

/// A prompt as the model reads it, by the template of its file or else our own. `thinking`: whether
/// the model shall think before it answers. Throws TemplateError where the template refuses.
std::vector<TokenId> encode_prompt(const tokenizer::Tokenizer& tokenizer,
                                   const AcceptancePrompt& prompt, bool thinking);

}  // namespace foretoken::eval
