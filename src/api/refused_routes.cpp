// Endpoints of llama.cpp's server that are not here, each with the error that says so.
// Source: docs/http-api.md, "What is not here".
#include <array>
#include <string>

#include "api/errors.h"
#include "api/handler.h"
#include "api/json_output.h"
#include "api/routes.h"

namespace foretoken::api {
namespace {

struct Refusal {
  const char* method;
  const char* path;
  int status;
  const char* type;
  const char* message;
};

constexpr const char* kNotSupported = "not_supported_error";
constexpr const char* kEmbeddings =
    "This server makes no embeddings: it serves chat models. Use a server with an embedding model";
constexpr const char* kRerank =
    "This server does not rerank: it serves chat models. Use a server with a reranking model";
constexpr const char* kAudio = "This model family has no audio input";
constexpr const char* kTools = "This server runs no tools of its own";
constexpr const char* kProxy = "This server is no proxy";

constexpr std::array kRefused = {
    Refusal{"POST", "/v1/embeddings", 501, kNotSupported, kEmbeddings},
    Refusal{"POST", "/embeddings", 501, kNotSupported, kEmbeddings},
    Refusal{"POST", "/embedding", 501, kNotSupported, kEmbeddings},
    Refusal{"POST", "/v1/rerank", 501, kNotSupported, kRerank},
    Refusal{"POST", "/rerank", 501, kNotSupported, kRerank},
    Refusal{"POST", "/v1/reranking", 501, kNotSupported, kRerank},
    Refusal{"POST", "/reranking", 501, kNotSupported, kRerank},
    Refusal{"POST", "/v1/audio/transcriptions", 501, kNotSupported, kAudio},
    Refusal{"POST", "/audio/transcriptions", 501, kNotSupported, kAudio},
    Refusal{"POST", "/lora-adapters", 501, kNotSupported, "This server has no adapters"},
    Refusal{"GET", "/tools", 403, "feature_disabled", kTools},
    Refusal{"POST", "/tools", 403, "feature_disabled", kTools},
    Refusal{"GET", "/cors-proxy", 403, "feature_disabled", kProxy},
    Refusal{"POST", "/cors-proxy", 403, "feature_disabled", kProxy},
    Refusal{"POST", "/models", 404, "not_found_error", "File Not Found"},
    Refusal{"DELETE", "/models", 404, "not_found_error", "File Not Found"},
    Refusal{"POST", "/models/load", 404, "not_found_error", "File Not Found"},
    Refusal{"POST", "/models/unload", 404, "not_found_error", "File Not Found"},
    Refusal{"GET", "/models/sse", 404, "not_found_error", "File Not Found"},
};

}  // namespace

void add_refused_routes(http::Router& router, const ContextSource& context) {
  for (const Refusal& refusal : kRefused) {
    router.add(refusal.method, refusal.path,
               with_context(context, [refusal](const auto&, const auto&) {
                 throw ApiError(refusal.status, refusal.type, refusal.message);
               }));
  }
  // No adapters is a fact, not an error.
  router.add("GET", "/lora-adapters", with_context(context, [](const auto&, const auto& exchange) {
               exchange->respond(json_response(Json::array()));
             }));
}

}  // namespace foretoken::api
