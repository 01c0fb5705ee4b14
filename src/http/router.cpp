// Matching of paths, segment by segment.
#include "http/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "base/text.h"

namespace foretoken::http {
namespace {

/// "/a/b/" -> "a", "b", ""; "/" -> "".
std::vector<std::string> split_segments(std::string_view path) {
  std::vector<std::string> out;
  if (path.starts_with('/')) path.remove_prefix(1);
  for (;;) {
    const std::size_t slash = path.find('/');
    out.emplace_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash + 1);
  }
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

using Parameters = std::map<std::string, std::string, std::less<>>;

std::optional<Parameters> match(const std::vector<std::string>& pattern,
                                const std::vector<std::string>& path) {
  if (pattern.size() != path.size()) return std::nullopt;
  Parameters out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (is_parameter(pattern[i])) {
      if (path[i].empty()) return std::nullopt;
      out.emplace(pattern[i].substr(1, pattern[i].size() - 2), path[i]);
    } else if (pattern[i] != path[i]) {
      return std::nullopt;
    }
  }
  return out;
}

/// `text` as a JSON string; bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const char c = text.front();
    if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out += '"';
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, Handler handler,
                 RouteOptions options) {
  routes_.push_back({.method = std::string(method),
                     .segments = split_segments(pattern),
                     .handler = std::move(handler),
                     .options = options});
}

void Router::set_fallback(Handler handler, RouteOptions options) {
  fallback_ =
      Route{.method = {}, .segments = {}, .handler = std::move(handler), .options = options};
}

void Router::set_error_format(ErrorFormat format) { error_format_ = std::move(format); }

std::optional<Router::Match> Router::find(std::string_view method, std::string_view path,
                                          std::vector<std::string>& other_methods) const {
  const std::vector<std::string> segments = split_segments(path);
  other_methods.clear();
  std::optional<Match> as_get;  // HEAD, where no route of its own is found
  for (const Route& route : routes_) {
    auto parameters = match(route.segments, segments);
    if (!parameters) continue;
    Match found{
        .handler = &route.handler, .options = route.options, .parameters = std::move(*parameters)};
    if (route.method == method) return found;
    if (method == "HEAD" && route.method == "GET" && !as_get) as_get = std::move(found);
    if (std::ranges::find(other_methods, route.method) == other_methods.end()) {
      other_methods.push_back(route.method);
    }
  }
  if (as_get) return as_get;
  if (other_methods.empty() && fallback_) {
    return Match{.handler = &fallback_->handler, .options = fallback_->options, .parameters = {}};
  }
  return std::nullopt;
}

Response Router::error(std::string_view path, int status, std::string_view type,
                       std::string_view message) const {
  if (error_format_) {
    try {
      return error_format_(path, status, type, message);
    } catch (const std::exception&) {
      // The plain form below still says what was wrong.
    }
  }
  Response out;
  out.status = status;
  out.body = fmt::format(R"({{"error":{{"code":{},"message":{},"type":{}}}}})", status,
                         json_string(message), json_string(type));
  return out;
}

}  // namespace foretoken::http
