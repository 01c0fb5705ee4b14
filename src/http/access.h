// Who may ask: API keys, and which web pages may read the answers (CORS).
//
// Keys are compared as SHA-256 digests, all of them each time and without an early end, so that the
// time taken tells nothing about how much of a guess was right (docs/http-server.md, "Access").
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.h"
#include "http/server.h"

namespace foretoken::http {

class ApiKeys {
 public:
  /// Empty keys are refused with RequestError: they would match a request without one.
  explicit ApiKeys(std::vector<std::string> keys);

  bool empty() const { return keys_.empty(); }
  /// The key named by "Authorization: Bearer K", "Authorization: K" or "X-Api-Key: K", whichever
  /// is known; nothing when none is.
  std::optional<std::string> find(const Headers& headers) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  const std::string* match(std::string_view candidate) const;

  std::vector<std::string> keys_;
  std::vector<Digest> digests_;
};

/// What the server adds to answers so that pages of other origins may read them.
/// Source: the Fetch standard, "CORS protocol".
class Cors {
 public:
  explicit Cors(CorsOptions options);

  /// Access-Control-Allow-Origin and what belongs to it, for any answer to a request with this
  /// Origin header (empty: it has none). Nothing for an origin that may not read the answer.
  Headers answer_headers(std::string_view origin) const;
  /// The whole of it for the answer to OPTIONS.
  Headers preflight_headers(std::string_view origin) const;

 private:
  bool allows(std::string_view origin) const;

  CorsOptions options_;
  std::vector<std::string> origins_;  ///< of a comma list
};

/// Whether an origin's host is this machine: localhost, *.localhost, 127.0.0.0/8 or [::1].
bool is_loopback_origin(std::string_view origin);

}  // namespace foretoken::http
