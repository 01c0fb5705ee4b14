// One HTTP GET by libcurl, with what downloads need: a bearer token that goes to the first host
// alone, redirects, a range to go on from, and a sink for the body.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

namespace foretoken::hub {

struct GetRequest {
  std::string url;            ///< http or https
  std::string token;          ///< sent as a bearer token; empty: none
  std::size_t from_byte = 0;  ///< > 0: ask for the rest from there
};

struct GetResult {
  int status = 0;         ///< 200, or 206 where `from_byte` was honoured
  std::string next_page;  ///< URL of a Link header with rel="next", or empty
};

/// Takes the next piece of a body with status 2xx (206: it begins at `from_byte`, 200: at the
/// start, whatever was asked for); false stops the transfer (Cancelled is thrown).
using BodySink = std::function<bool(std::span<const std::byte>, int status)>;

/// Follows up to ten redirects, from https to https only. Any status is returned; a body that is
/// not 2xx is dropped. Throws IoError when no answer comes (name, connection, certificate,
/// transfer broken off), naming the host.
GetResult http_get(const GetRequest& request, const BodySink& sink);

}  // namespace foretoken::hub
