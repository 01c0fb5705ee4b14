// API keys and CORS.
#include "http/access.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "base/error.h"
#include "http/field.h"

namespace foretoken::http {
namespace {

std::array<unsigned char, 32> digest_of(std::string_view text) {
  std::array<unsigned char, 32> out{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data());
  return out;
}

bool is_ipv4_loopback(std::string_view host) {
  if (!host.starts_with("127.")) return false;
  return std::ranges::count(host, '.') == 3 &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

ApiKeys::ApiKeys(std::vector<std::string> keys) : keys_(std::move(keys)) {
  for (const std::string& key : keys_) {
    if (trimmed(key).empty()) {
      throw RequestError(
          "an API key is empty; leave it out, or leave out all of them to let "
          "everybody in");
    }
    digests_.push_back(digest_of(key));
  }
}

const std::string* ApiKeys::match(std::string_view candidate) const {
  if (candidate.empty()) return nullptr;
  const Digest digest = digest_of(candidate);
  const std::string* found = nullptr;
  for (std::size_t i = 0; i < digests_.size(); ++i) {
    if (CRYPTO_memcmp(digest.data(), digests_[i].data(), digest.size()) == 0) found = &keys_[i];
  }
  return found;
}

std::optional<std::string> ApiKeys::find(const Headers& headers) const {
  const std::string* found = nullptr;
  const auto look_at = [&](std::string_view candidate) {
    if (const std::string* key = match(candidate)) found = key;
  };
  for (const auto& [name, value] : headers) {
    const bool authorization = same_name(name, "Authorization");
    if (!authorization && !same_name(name, "X-Api-Key")) continue;
    const std::string_view text = trimmed(value);
    look_at(text);
    if (authorization && text.size() > 7 && same_name(text.substr(0, 7), "Bearer ")) {
      look_at(trimmed(text.substr(7)));
    }
  }
  return found == nullptr ? std::nullopt : std::optional(*found);
}

bool is_loopback_origin(std::string_view origin) {
  const std::size_t mark = origin.find("://");
  if (mark == std::string_view::npos) return false;
  std::string_view host = origin.substr(mark + 3);
  // An origin is scheme, host and port; anything that could hide another host is none.
  if (host.find_first_of("/@?#\\ ") != std::string_view::npos) return false;
  if (host.starts_with('[')) {
    const std::size_t close = host.find(']');
    return close != std::string_view::npos && host.substr(0, close + 1) == "[::1]" &&
           (host.size() == close + 1 || host[close + 1] == ':');
  }
  host = host.substr(0, host.find(':'));
  const bool below_localhost =
      host.size() > 10 && same_name(host.substr(host.size() - 10), ".localhost");
  return same_name(host, "localhost") || below_localhost || is_ipv4_loopback(host);
}

Cors::Cors(CorsOptions options) : options_(std::move(options)) {
  for_each_element(options_.origins, [&](std::string_view item) { origins_.emplace_back(item); });
}

bool Cors::allows(std::string_view origin) const {
  return std::ranges::any_of(origins_, [&](const std::string& allowed) {
    if (allowed == "*") return true;
    return allowed == "localhost" ? is_loopback_origin(origin) : same_name(allowed, origin);
  });
}

Headers Cors::answer_headers(std::string_view origin) const {
  // A wildcard is not valid together with credentials, so the asking origin is named instead.
  if (options_.origins == "*" && !options_.credentials) {
    return {{"Access-Control-Allow-Origin", "*"}};
  }
  if (origin.empty()) return {};
  // What the answer says depends on who asks, and caches must know.
  Headers out{{"Vary", "Origin"}};
  if (!allows(origin)) return out;
  out.emplace_back("Access-Control-Allow-Origin", origin);
  if (options_.credentials) out.emplace_back("Access-Control-Allow-Credentials", "true");
  return out;
}

Headers Cors::preflight_headers(std::string_view origin) const {
  Headers out = answer_headers(origin);
  if (find_header(out, "Access-Control-Allow-Credentials").empty()) {
    out.emplace_back("Access-Control-Allow-Credentials", options_.credentials ? "true" : "false");
  }
  out.emplace_back("Access-Control-Allow-Methods", options_.methods);
  out.emplace_back("Access-Control-Allow-Headers", options_.headers);
  return out;
}

}  // namespace foretoken::http
