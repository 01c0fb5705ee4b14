// Errors as clients know them: an HTTP status with a type and a sentence.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/exchange.h"

namespace foretoken::api {

/// Any error with a status of its own.
class ApiError : public foretoken::Error {
 public:
  ApiError(int status, std::string type, const std::string& message)
      : foretoken::Error(message), status_(status), type_(std::move(type)) {}
  int status() const { return status_; }
  const std::string& type() const { return type_; }

 private:
  int status_;
  std::string type_;
};

/// The prompt does not fit into a slot: 400, exceed_context_size_error, with both numbers.
class ContextOverflow : public ApiError {
 public:
  ContextOverflow(int n_prompt_tokens, int n_ctx);
  int n_prompt_tokens() const { return n_prompt_tokens_; }
  int n_ctx() const { return n_ctx_; }

 private:
  int n_prompt_tokens_;
  int n_ctx_;
};

/// 503, unavailable_error: loading, queue full, stopping, no slot.
class Unavailable : public ApiError {
 public:
  explicit Unavailable(const std::string& message) : ApiError(503, "unavailable_error", message) {}
};

/// 501, not_supported_error: switched off by a flag, or not possible with this model.
class NotSupported : public ApiError {
 public:
  explicit NotSupported(const std::string& message)
      : ApiError(501, "not_supported_error", message) {}
};

/// A reply that ended with an error: 400 where what was asked for is to blame (a grammar that turns
/// out too ambiguous in the middle of the text), 500 otherwise.
ApiError broken_reply(const std::string& error, bool bad_request);

/// {"error": {"code", "message", "type", ...}}; with "type": "error" in front where the path is
/// Anthropic's.
nlohmann::ordered_json error_json(const std::exception& error, bool anthropic = false);
nlohmann::ordered_json error_json(int status, std::string_view type, std::string_view message,
                                  bool anthropic = false);
/// RequestError: 400; ApiError: its own; anything else: 500.
http::Response error_response(const std::exception& error, bool anthropic = false);

/// Whether errors on this path have Anthropic's shape: /v1/messages and below.
bool is_anthropic_path(std::string_view path);

}  // namespace foretoken::api
