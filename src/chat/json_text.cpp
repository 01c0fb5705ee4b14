// See json_text.h.
#include "chat/json_text.h"

#include <string>

#include "base/error.h"

namespace foretoken::chat {
namespace {

/// Offset of the first bracket that is deeper than allowed, or npos. Right for well-formed JSON;
/// for anything else the parser has the last word.
std::size_t find_too_deep(std::string_view text, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_depth) return i;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return std::string_view::npos;
}

}  // namespace

bool is_json(std::string_view text, int max_depth) {
  return text.find('\0') == std::string_view::npos &&  // the library takes it for the end
         find_too_deep(text, max_depth) == std::string_view::npos &&
         nlohmann::json::accept(text.begin(), text.end());
}

nlohmann::ordered_json parse_json(std::string_view text, int max_depth, std::string_view what) {
  const std::size_t nul = text.find('\0');  // the library would take it for the end
  if (nul != std::string_view::npos) {
    throw RequestError(std::string(what) + " is not valid JSON: a NUL character at byte " +
                       std::to_string(nul + 1));
  }
  const std::size_t too_deep = find_too_deep(text, max_depth);
  if (too_deep != std::string_view::npos) {
    throw RequestError(std::string(what) + " nests more than " + std::to_string(max_depth) +
                       " deep at byte " + std::to_string(too_deep));
  }
  try {
    return nlohmann::ordered_json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error& error) {
    throw RequestError(std::string(what) + " is not valid JSON: error at byte " +
                       std::to_string(error.byte));
  } catch (const nlohmann::json::exception& error) {  // e.g. a number out of range
    throw RequestError(std::string(what) + " cannot be read as JSON: " + error.what());
  }
}

}  // namespace foretoken::chat
