// POST /v1/chat/completions and what belongs to it: token counts, control of a running reply.
#include <memory>

#include "api/chat_answer.h"
#include "api/chat_request.h"
#include "api/errors.h"
#include "api/field_reader.h"
#include "api/handler.h"
#include "api/json_output.h"
#include "api/reply_registry.h"
#include "api/request_body.h"
#include "api/routes.h"

namespace foretoken::api {
namespace {

void complete(ReplyRegistry& registry, const ContextPtr& context,
              const http::ExchangePtr& exchange) {
  const auto request = parse_chat_request(*context, parse_body(exchange->request().body));
  const auto answer = std::make_shared<ChatAnswer>(context, request, exchange);
  if (request->reasoning_control) registry.add(answer);
  answer->start();
}

void count_tokens(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const auto request = parse_chat_request(*context, parse_body(exchange->request().body));
  exchange->respond(json_response(
      {{"object", "response.input_tokens"}, {"input_tokens", count_prompt_tokens(*request)}}));
}

void control(ReplyRegistry& registry, const ContextPtr& context,
             const http::ExchangePtr& exchange) {
  const Json body = parse_body(exchange->request().body);
  const FieldReader read(*context, body);
  const std::string id = read.text({"id"}, "");
  if (id.empty()) refuse_field("id", "the id of a running chat completion is missing");
  if (read.text({"action"}, "") != "reasoning_end") {
    refuse_field("action", "unknown control action, expected \"reasoning_end\"");
  }
  const auto answer = registry.find(id);
  Json result = {{"success", answer != nullptr && answer->end_reasoning()}};
  if (result["success"] == false) {
    result["message"] = answer == nullptr
                            ? "no running completion has this id, or it was started without "
                              "reasoning_control"
                            : "the reply is not thinking";
  }
  exchange->respond(json_response(result));
}

}  // namespace

void add_chat_routes(http::Router& router, const ContextSource& context) {
  const auto registry = std::make_shared<ReplyRegistry>();
  for (const char* prefix : {"/v1", ""}) {
    const std::string path = std::string(prefix) + "/chat/completions";
    router.add("POST", path, with_context(context, [registry](const auto& ready, const auto& ex) {
                 complete(*registry, ready, ex);
               }));
    router.add("POST", path + "/input_tokens", with_context(context, count_tokens));
    router.add("POST", path + "/control",
               with_context(context, [registry](const auto& ready, const auto& ex) {
                 control(*registry, ready, ex);
               }));
  }
}

}  // namespace foretoken::api
