// The head of an answer: status line and header fields, as they go over the wire (RFC 9112).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/exchange.h"

namespace foretoken::http {

/// What the connection decides about an answer, as opposed to what the handler says.
struct Framing {
  bool http_1_1 = true;    ///< the version of the request
  bool keep_alive = true;  ///< another request may follow
  bool chunked = false;    ///< of unknown length; without it and without a length: until the end
  std::optional<std::uint64_t> content_length;
};

/// The head with its empty line. `extra` are the server's own fields (CORS); fields of the handler
/// that speak about framing are left out, and control characters in values become spaces, so that
/// no value can begin another field. Names that are no tokens are left out.
std::string make_head(int status, std::string_view content_type, const Headers& headers,
                      const Headers& extra, std::string_view server_name, const Framing& framing);

/// Whether answers of this status have no body at all, not even an empty one (1xx, 204, 304).
bool is_bodiless(int status);

std::string_view reason_phrase(int status);

/// "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(std::int64_t unix_seconds);

}  // namespace foretoken::http
