// Bodies of /v1/messages (Anthropic) to the OpenAI chat layout.
// Source: docs/http-api.md, "Anthropic messages"; Anthropic's public API reference.
#pragma once

#include "api/context.h"
#include "api/dialect.h"

namespace foretoken::api {

/// Checks `body` (an object) and converts it. Members that this dialect does not define stay as
/// they are, so that all of this server's own fields work here too. Throws RequestError naming the
/// member.
Json messages_to_chat(const Json& body, const Remark& remark);

/// The text that opens Claude Code's system prompt carries a stamp ("cch=" and five characters)
/// that changes with every request and would defeat the prefix cache; it is overwritten with a
/// constant. Other text is returned as it is.
std::string without_stamp(std::string system_text);

}  // namespace foretoken::api
