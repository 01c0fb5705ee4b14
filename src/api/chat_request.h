// A chat request taken apart: what parse_chat_request (chat_run.h) makes of a body in the OpenAI
// layout, for every dialect.
#pragma once

#include <string>
#include <vector>

#include "api/context.h"
#include "api/request_fields.h"
#include "grammar/constraints.h"

namespace foretoken::api {

/// Where thinking goes.
enum class ReasoningFormat {
  None,            ///< stays in the content, between its tags
  Deepseek,        ///< reasoning_content; "auto" means this
  DeepseekLegacy,  ///< as None in streams, as Deepseek otherwise
};

struct ChatRequest {
  RequestFields fields;

  std::string prompt_text;
  std::vector<TokenId> prompt;
  /// What opens the reply: the prompt's last turn, its own marker included. Empty without one.
  std::string generation_prompt;
  /// The prompt ends inside <think>.
  bool starts_in_reasoning = false;

  Json tools;  ///< checked and normalised; null: none
  grammar::ToolChoice tool_choice = grammar::ToolChoice::Auto;
  std::string tool_name;
  bool parallel_tool_calls = true;

  ReasoningFormat reasoning_format = ReasoningFormat::Deepseek;
  int reasoning_budget = -1;
  std::string reasoning_message;
  /// The client may end thinking while the reply runs (ChatRun::end_reasoning).
  bool reasoning_control = false;
  /// False: everything the model writes is content.
  bool parse_reply = true;

  bool parses_tool_calls() const {
    return parse_reply && !tools.is_null() && tool_choice != grammar::ToolChoice::None;
  }
  bool reasoning_in_content() const {
    return reasoning_format == ReasoningFormat::None ||
           (reasoning_format == ReasoningFormat::DeepseekLegacy && fields.stream);
  }
};

/// "auto", "none", "deepseek", "deepseek-legacy". Throws RequestError naming the field otherwise.
ReasoningFormat reasoning_format_of(const std::string& name);
const char* name_of(ReasoningFormat format);

}  // namespace foretoken::api
