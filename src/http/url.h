// The target of a request: which path and which query it names, decoded and made harmless.
//
// Escapes are decoded first and dots resolved afterwards, so that "%2e%2e%2f" climbs no higher than
// "../" does: to the root, never above it. Sources: RFC 3986 (2.1, 5.2.4), RFC 9112 (3.2), and the
// URL standard's form encoding for queries ('+' is a space).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace foretoken::http {

struct Target {
  /// Starts with '/', has no empty, "." or ".." segment (one slash at its end is kept) and no NUL.
  /// It need not be UTF-8.
  std::string path;
  std::map<std::string, std::string, std::less<>> query;  ///< the last of a name wins
};

/// "%41" -> "A". Nothing for an escape that is cut short, not hexadecimal, or NUL.
std::optional<std::string> decode_percent(std::string_view text);
/// The same with '+' meaning a space.
std::optional<std::string> decode_form(std::string_view text);

/// `path` starts with '/' afterwards; "." and ".." are resolved and slashes in a row made one.
std::string normalise_path(std::string_view path);

/// Nothing when the query has a bad escape.
std::optional<std::map<std::string, std::string, std::less<>>> parse_query(std::string_view query);

/// Origin form ("/path?query") and absolute form ("http://host/path"). Nothing for any other form
/// and for bad escapes.
std::optional<Target> parse_target(std::string_view target);

}  // namespace foretoken::http
