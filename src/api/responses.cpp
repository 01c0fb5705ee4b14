// /v1/responses and /v1/responses/input_tokens: OpenAI's Responses dialect of a chat.
// Source: docs/http-api.md, "Responses".
#include <chrono>
#include <memory>

#include "api/chat_request.h"
#include "api/dialect.h"
#include "api/handler.h"
#include "api/json_output.h"
#include "api/random_id.h"
#include "api/request_body.h"
#include "api/responses_events.h"
#include "api/responses_request.h"
#include "api/routes.h"

namespace foretoken::api {
namespace {

std::int64_t unix_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

void create_response(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const Json body = parse_body(exchange->request().body);
  const auto request = parse_chat_request(*context, responses_to_chat(body, log_remark(context)));
  DialectOptions options;
  options.stream = request->fields.stream;
  options.ping_seconds = request->fields.sse_ping_seconds;
  ResponsesSettings settings;
  settings.model = model_name(*context);
  settings.created_at = unix_seconds();
  settings.timings_per_token = request->fields.timings_per_token;
  settings.echo = responses_echo(body);
  answer_in_dialect(context, exchange, request,
                    std::make_unique<ResponsesWriter>(std::move(settings), random_id),
                    std::move(options));
}

void count_tokens(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const Json chat = responses_to_chat(parse_body(exchange->request().body), log_remark(context));
  const auto request = parse_chat_request(*context, chat);
  exchange->respond(json_response(
      {{"object", "response.input_tokens"}, {"input_tokens", count_prompt_tokens(*request)}}));
}

}  // namespace

void add_responses_routes(http::Router& router, const ContextSource& context) {
  for (const char* path : {"/v1/responses", "/responses"}) {
    router.add("POST", path, with_context(context, create_response));
    router.add("POST", std::string(path) + "/input_tokens", with_context(context, count_tokens));
  }
}

}  // namespace foretoken::api
