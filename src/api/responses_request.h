// Bodies of /v1/responses (OpenAI) to the chat layout.
// Source: docs/http-api.md, "Responses"; OpenAI's public API reference.
#pragma once

#include "api/context.h"
#include "api/dialect.h"

namespace foretoken::api {

/// Checks `body` (an object) and converts it. Members that this dialect does not define stay as
/// they are, so that all of this server's own fields work here too. Throws RequestError naming the
/// member.
Json responses_to_chat(const Json& body, const Remark& remark);

}  // namespace foretoken::api
