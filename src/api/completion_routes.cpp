// POST /completion, /v1/completions and /infill.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/completion_answer.h"
#include "api/completion_prompt.h"
#include "api/handler.h"
#include "api/infill_prompt.h"
#include "api/request_body.h"
#include "api/routes.h"
#include "base/error.h"

namespace foretoken::api {
namespace {

void answer(const ContextPtr& context, const http::ExchangePtr& exchange, CompletionStyle style,
            RequestFields fields, const std::vector<std::vector<TokenId>>& prompts) {
  std::make_shared<CompletionAnswer>(context, std::move(fields), style, exchange)->start(prompts);
}

const Json& require_prompt(const Json& body) {
  const Json* prompt = find_field(body, "prompt");
  if (prompt == nullptr) throw RequestError("\"prompt\" is required");
  return *prompt;
}

void complete_native(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const Json body = parse_body(exchange->request().body);
  answer(context, exchange, CompletionStyle::Native, read_request_fields(*context, body),
         read_prompts(*context, require_prompt(body)));
}

void complete_openai(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const Json body = parse_body(exchange->request().body);
  const Json& prompt = require_prompt(body);
  if (const Json* echo = find_field(body, "echo"); echo != nullptr && *echo == true) {
    throw RequestError("Only no echo is supported");
  }
  for (const char* name : {"best_of", "suffix"}) {
    if (find_field(body, name) != nullptr) {
      throw RequestError(std::string("Unsupported param: ") + name);
    }
  }
  answer(context, exchange, CompletionStyle::OpenAi, read_request_fields(*context, body),
         read_prompts(*context, prompt));
}

void infill(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const Json body = parse_body(exchange->request().body);
  RequestFields fields = read_request_fields(*context, body);
  const int n_ctx = context->service->slot_context();
  // A quarter of the context at most is kept free for the answer.
  const int n_answer = fields.n_predict < 0 ? n_ctx / 4 : std::min(fields.n_predict, n_ctx / 4);
  std::vector<TokenId> prompt = infill_prompt(*context, body, n_ctx - 1 - n_answer);
  answer(context, exchange, CompletionStyle::Native, std::move(fields), {std::move(prompt)});
}

}  // namespace

void add_completion_routes(http::Router& router, const ContextSource& context) {
  for (const char* path : {"/completion", "/completions"}) {
    router.add("POST", path, with_context(context, complete_native));
  }
  router.add("POST", "/v1/completions", with_context(context, complete_openai));
  router.add("POST", "/infill", with_context(context, infill));
}

}  // namespace foretoken::api
