// Decoding of request targets.
#include "http/url.h"

#include "http/field.h"

namespace foretoken::http {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return std::nullopt;
    out += c;
  }
  return out;
}

/// "http://host:80/path?q" -> "/path?q"; what is not an http URL is returned as it is.
std::string_view without_authority(std::string_view target) {
  const std::size_t mark = target.find("://");
  if (mark == std::string_view::npos) return target;
  const std::string_view scheme = target.substr(0, mark);
  if (!same_name(scheme, "http") && !same_name(scheme, "https")) return target;
  const std::string_view rest = target.substr(mark + 3);
  const std::size_t end = rest.find_first_of("/?#");
  return end == std::string_view::npos ? std::string_view("/") : rest.substr(end);
}

}  // namespace

std::optional<std::string> decode_percent(std::string_view text) { return decode(text, false); }
std::optional<std::string> decode_form(std::string_view text) { return decode(text, true); }

std::string normalise_path(std::string_view path) {
  std::string out;
  bool ends_in_folder = true;  // the path names a folder: it ends in '/', "." or ".."
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    ends_in_folder = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      const std::size_t parent = out.rfind('/');
      out.resize(parent == std::string::npos ? 0 : parent);
    } else if (!ends_in_folder) {
      out += '/';
      out += segment;
    }
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
    if (path.empty()) ends_in_folder = true;
  }
  if (ends_in_folder) out += '/';
  return out;
}

std::optional<std::map<std::string, std::string, std::less<>>> parse_query(std::string_view query) {
  std::map<std::string, std::string, std::less<>> out;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view item = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    auto name = decode_form(item.substr(0, equals));
    auto value = decode_form(equals == std::string_view::npos ? std::string_view()
                                                              : item.substr(equals + 1));
    if (!name || !value) return std::nullopt;
    out.insert_or_assign(std::move(*name), std::move(*value));
  }
  return out;
}

std::optional<Target> parse_target(std::string_view target) {
  target = target.substr(0, target.find('#'));
  if (!target.starts_with('/')) target = without_authority(target);
  if (!target.starts_with('/') && !target.starts_with('?')) return std::nullopt;
  const std::size_t mark = target.find('?');
  const auto path = decode_percent(target.substr(0, mark));
  auto query =
      parse_query(mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1));
  if (!path || !query) return std::nullopt;
  return Target{.path = normalise_path(*path), .query = std::move(*query)};
}

}  // namespace foretoken::http
