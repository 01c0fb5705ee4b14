// See errors.h.
#include "api/errors.h"

#include <fmt/format.h>

#include "api/json_output.h"

namespace foretoken::api {
namespace {

using Json = nlohmann::ordered_json;

Json wrap(Json error, bool anthropic) {
  Json body = Json::object();
  if (anthropic) body["type"] = "error";
  body["error"] = std::move(error);
  return body;
}

Json inner(int status, std::string_view type, std::string_view message) {
  return Json{{"code", status}, {"message", message}, {"type", type}};
}

}  // namespace

ContextOverflow::ContextOverflow(int n_prompt_tokens, int n_ctx)
    : ApiError(400, "exceed_context_size_error",
               fmt::format("request ({} tokens) exceeds the available context size ({} tokens), "
                           "try increasing it",
                           n_prompt_tokens, n_ctx)),
      n_prompt_tokens_(n_prompt_tokens),
      n_ctx_(n_ctx) {}

ApiError broken_reply(const std::string& error, bool bad_request) {
  if (bad_request) return {400, "invalid_request_error", error};
  return {500, "server_error", error};
}

Json error_json(int status, std::string_view type, std::string_view message, bool anthropic) {
  return wrap(inner(status, type, message), anthropic);
}

Json error_json(const std::exception& error, bool anthropic) {
  if (const auto* overflow = dynamic_cast<const ContextOverflow*>(&error)) {
    Json body = inner(overflow->status(), overflow->type(), overflow->what());
    body["n_prompt_tokens"] = overflow->n_prompt_tokens();
    body["n_ctx"] = overflow->n_ctx();
    return wrap(std::move(body), anthropic);
  }
  if (const auto* own = dynamic_cast<const ApiError*>(&error)) {
    return error_json(own->status(), own->type(), own->what(), anthropic);
  }
  if (dynamic_cast<const RequestError*>(&error) != nullptr) {
    return error_json(400, "invalid_request_error", error.what(), anthropic);
  }
  return error_json(500, "server_error", error.what(), anthropic);
}

http::Response error_response(const std::exception& error, bool anthropic) {
  http::Response response;
  const Json body = error_json(error, anthropic);
  response.status = body["error"]["code"].get<int>();
  response.body = dump(body);
  return response;
}

bool is_anthropic_path(std::string_view path) {
  return path == "/v1/messages" || path.starts_with("/v1/messages/");
}

}  // namespace foretoken::api
