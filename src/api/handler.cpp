// See handler.h.
#include "api/handler.h"

#include <exception>
#include <utility>

#include "api/errors.h"

namespace foretoken::api {

http::Handler with_context(const ContextSource& source, ContextHandler handler) {
  return [source, handler = std::move(handler)](const http::ExchangePtr& exchange) {
    const bool anthropic = is_anthropic_path(exchange->request().path);
    try {
      const ContextPtr context = source();
      if (!context) throw Unavailable("Loading model");
      handler(context, exchange);
    } catch (const std::exception& error) {
      exchange->respond(error_response(error, anthropic));
    }
  };
}

std::string client_of(const http::Request& request) {
  return request.api_key.empty() ? request.peer : request.api_key;
}

http::StreamOptions event_stream(double ping_seconds) {
  http::StreamOptions options;
  options.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  options.ping_seconds = ping_seconds;
  return options;
}

}  // namespace foretoken::api
