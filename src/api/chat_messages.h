// The messages of a chat request: what every one of them must have, and which parts of content this
// server takes.
#pragma once

#include <vector>

#include "api/context.h"
#include "chat/conversation.h"

namespace foretoken::api {

/// Checks body["messages"] and normalises it. Throws RequestError naming the member: not an array,
/// content missing, a part that is neither text nor supported media.
std::vector<chat::Message> read_messages(const Json& body);

/// Whether the reply goes on with the last message instead of answering it: asked for by
/// continue_final_message, or, with `prefill_assistant`, because that message is an assistant's.
/// Throws RequestError for what contradicts itself.
bool continues_final_message(const Json& body, const std::vector<chat::Message>& messages,
                             bool prefill_assistant);

}  // namespace foretoken::api
