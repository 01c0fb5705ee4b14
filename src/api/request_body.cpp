// See request_body.h.
#include "api/request_body.h"

#include <fmt/format.h>

#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::api {
namespace {

/// Called by the parser for every value and key; throws when a bound is passed.
class Meter {
 public:
  explicit Meter(const BodyLimits& limits) : limits_(limits) {}

  void see(int depth, Json::parse_event_t event) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= limits_.max_depth) {
        throw RequestError(
            fmt::format("the request body nests more than {} levels deep", limits_.max_depth));
      }
      keys_.resize(static_cast<std::size_t>(depth) + 1);
      keys_.back() = 0;
    } else if (event == Event::key) {
      // A key's depth is one more than its object's.
      std::size_t& keys = keys_.at(static_cast<std::size_t>(depth) - 1);
      if (++keys > limits_.max_keys) {
        throw RequestError(
            fmt::format("an object of the request body has more than {} keys", limits_.max_keys));
      }
    }
    if (++values_ > limits_.max_values) {
      throw RequestError(
          fmt::format("the request body holds more than {} values", limits_.max_values));
    }
  }

 private:
  BodyLimits limits_;
  std::size_t values_ = 0;
  std::vector<std::size_t> keys_;  // by depth of the object
};

void require_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length =
        static_cast<unsigned char>(text[i]) < 0x80 ? 1 : utf8_length(text.substr(i));
    if (length == 0) {
      throw RequestError(fmt::format("the request body is not UTF-8 at byte {}", i + 1));
    }
    i += length;
  }
}

}  // namespace

Json parse_body(std::string_view text, const BodyLimits& limits) {
  if (text.empty()) throw RequestError("the request has no body: a JSON object is expected");
  require_utf8(text);
  // The library takes a NUL for the end of the text.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    throw RequestError(fmt::format("the request body is not JSON: NUL at byte {}", nul + 1));
  }
  Meter meter(limits);
  Json body;
  try {
    body = Json::parse(text.begin(), text.end(), [&](int depth, Json::parse_event_t event, Json&) {
      meter.see(depth, event);
      return true;
    });
  } catch (const Json::parse_error& error) {
    throw RequestError(fmt::format("the request body is not JSON: error at byte {}", error.byte));
  } catch (const Json::exception& error) {  // a number out of range
    throw RequestError(fmt::format("the request body cannot be read: {}", error.what()));
  }
  if (!body.is_object()) {
    throw RequestError(
        fmt::format("the request body must be a JSON object, not {}", body.type_name()));
  }
  return body;
}

}  // namespace foretoken::api
