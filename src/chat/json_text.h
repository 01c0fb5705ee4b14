// JSON text from outside, with a bound on nesting: the library's parser copes with any depth, but
// what walks the result recursively does not.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace foretoken::chat {

/// Whether `text` is one JSON value with arrays and objects nested at most `max_depth` deep.
bool is_json(std::string_view text, int max_depth);

/// Parses `text`. Throws RequestError that starts with `what` and gives the offset when it is not
/// JSON or too deep.
nlohmann::ordered_json parse_json(std::string_view text, int max_depth, std::string_view what);

}  // namespace foretoken::chat
