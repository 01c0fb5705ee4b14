// /v1/messages and /v1/messages/count_tokens: Anthropic's dialect of a chat.
// Source: docs/http-api.md, "Anthropic messages".
#include <memory>

#include "api/chat_request.h"
#include "api/dialect.h"
#include "api/handler.h"
#include "api/json_output.h"
#include "api/messages_events.h"
#include "api/messages_request.h"
#include "api/random_id.h"
#include "api/request_body.h"
#include "api/routes.h"

namespace foretoken::api {
namespace {

void create_message(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const Json chat = messages_to_chat(parse_body(exchange->request().body), log_remark(context));
  const auto request = parse_chat_request(*context, chat);
  DialectOptions options;
  options.stream = request->fields.stream;
  options.ping_seconds = request->fields.sse_ping_seconds;
  options.ping = MessagesWriter::ping();
  options.anthropic = true;
  MessagesSettings settings;
  settings.id = "msg_" + random_id();
  settings.model = model_name(*context);
  settings.timings = request->fields.timings_per_token;
  answer_in_dialect(context, exchange, request,
                    std::make_unique<MessagesWriter>(std::move(settings)), std::move(options));
}

void count_tokens(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const Json chat = messages_to_chat(parse_body(exchange->request().body), log_remark(context));
  const auto request = parse_chat_request(*context, chat);
  exchange->respond(json_response({{"input_tokens", count_prompt_tokens(*request)}}));
}

}  // namespace

void add_messages_routes(http::Router& router, const ContextSource& context) {
  router.add("POST", "/v1/messages", with_context(context, create_message));
  router.add("POST", "/v1/messages/count_tokens", with_context(context, count_tokens));
}

}  // namespace foretoken::api
