// All routes of the API on a router. One function per group of endpoints, each in a file of its
// own. The page at / is added by itself (api/page.h), since it does not wait for the model.
// Source: docs/http-api.md.
#pragma once

#include <functional>
#include <memory>

#include "api/context.h"
#include "http/router.h"

namespace foretoken::api {

/// The context once the model is loaded; null before: all routes answer 503 "Loading model" then.
using ContextSource = std::function<ContextPtr()>;

void add_routes(http::Router& router, const ContextSource& context);

// The groups, called by add_routes.
void add_status_routes(
    http::Router& router,
    const ContextSource& context);  ///< health, models, props, metrics, version, spec
void add_slot_routes(http::Router& router, const ContextSource& context);  ///< slots
void add_tokenizer_routes(http::Router& router,
                          const ContextSource& context);  ///< tokenize, detokenize, apply-template
void add_completion_routes(
    http::Router& router, const ContextSource& context);  ///< /completion, /v1/completions, /infill
void add_chat_routes(http::Router& router,
                     const ContextSource& context);  ///< chat completions, control, input_tokens
void add_responses_routes(http::Router& router,
                          const ContextSource& context);  ///< OpenAI Responses
void add_messages_routes(http::Router& router,
                         const ContextSource& context);  ///< Anthropic messages
void add_refused_routes(
    http::Router& router,
    const ContextSource& context);  ///< endpoints that say why they are not here

}  // namespace foretoken::api
