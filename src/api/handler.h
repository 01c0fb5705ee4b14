// What all handlers of the API share: they wait for the model, turn exceptions into answers in the
// path's own error shape, and know whose request it is.
#pragma once

#include <functional>
#include <string>

#include "api/context.h"
#include "api/routes.h"
#include "http/exchange.h"

namespace foretoken::api {

using ContextHandler = std::function<void(const ContextPtr&, const http::ExchangePtr&)>;

/// A handler that answers 503 "Loading model" while there is no context, and answers with
/// error_response() when `handler` throws.
http::Handler with_context(const ContextSource& source, ContextHandler handler);

/// Whose turn it is in the fair queue: the API key, else the address of the other end.
std::string client_of(const http::Request& request);

/// The stream options of every event stream here: no caching, no buffering by proxies, a comment
/// after `ping_seconds` of silence.
http::StreamOptions event_stream(double ping_seconds);

}  // namespace foretoken::api
