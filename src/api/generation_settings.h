// The object `generation_settings`: every parameter of a request as it took effect. The same keys
// stand in the native answer, in /slots and in /props.
// Source of the keys: docs/http-api.md, "Generation settings"; llama.cpp's server.
#pragma once

#include "api/chat_request.h"
#include "api/context.h"
#include "api/request_fields.h"

namespace foretoken::api {

enum class SettingsDetail {
  Full,
  Short,  ///< without texts and lists of any length: /slots, /props
};

/// `chat` may be null (completions).
Json generation_settings(const Context& context, const RequestFields& fields, SettingsDetail detail,
                         const ChatRequest* chat = nullptr);

}  // namespace foretoken::api
