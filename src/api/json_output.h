// JSON as it leaves the server: whole answers and records of an event stream. Text that is not
// UTF-8 (half a character in a token's own spelling) is replaced, never an error at this point.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "http/exchange.h"

namespace foretoken::api {

inline std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

inline http::Response json_response(const nlohmann::ordered_json& json, int status = 200) {
  http::Response response;
  response.status = status;
  response.body = dump(json);
  return response;
}

/// "data: JSON\n\n", with "event: NAME\n" in front where the dialect names its events.
inline std::string sse_record(const nlohmann::ordered_json& json, std::string_view event = {}) {
  std::string record;
  if (!event.empty()) record.append("event: ").append(event).append("\n");
  return record.append("data: ").append(dump(json)).append("\n\n");
}

inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";

}  // namespace foretoken::api
