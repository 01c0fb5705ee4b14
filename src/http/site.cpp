// Decisions about requests, and counting them.
#include "http/site.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "http/field.h"

namespace foretoken::http {
namespace {

std::string checked_prefix(std::string_view prefix) {
  if (prefix.empty() || prefix == "/") return "";
  std::string out = normalise_path(prefix);
  if (out.ends_with('/')) out.pop_back();
  return out;
}

ServerOptions checked(const ServerOptions& options) {
  const auto require = [](bool good, const std::string& complaint) {
    if (!good) throw RequestError(complaint);
  };
  require(!options.hosts.empty(), "no host to listen on; give at least one, such as 127.0.0.1");
  require(options.port >= 0 && options.port <= 65535,
          fmt::format("port {} is out of range; expected 0 (any free one) to 65535", options.port));
  require(options.n_io_threads >= 1 && options.n_handler_threads >= 1,
          "a server needs at least one I/O thread and one handler thread");
  require(options.max_connections >= 1, "the number of connections must be at least 1");
  require(options.max_header_bytes >= 1024 && options.max_header_bytes <= (std::size_t{1} << 24),
          "the limit of request headers must lie between 1 KiB and 16 MiB");
  require(options.header_timeout.count() >= 1 && options.timeout.count() >= 1,
          "time-outs must be at least a second");
  require(options.tls_key_file.empty() == options.tls_certificate_file.empty(),
          "TLS needs both a key file and a certificate file, and got one of them");
  return options;
}

/// `path` without the prefix; nothing when it lies outside.
std::optional<std::string> below_prefix(std::string_view prefix, std::string_view path) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  if (path.empty()) return "/";
  return path.front() == '/' ? std::optional(std::string(path)) : std::nullopt;
}

Response preflight(const Site& site, const RequestHead& head) {
  Response out;
  out.content_type = "";
  out.headers = site.cors.preflight_headers(find_header(head.headers, "Origin"));
  return out;
}

Response unauthorized(const Site& site, std::string_view path) {
  Response out = site.router.error(path, 401, "authentication_error", "Invalid API Key");
  out.headers.emplace_back("WWW-Authenticate", "Bearer");
  return out;
}

Response not_allowed(const Site& site, std::string_view path, std::string_view method,
                     const std::vector<std::string>& methods) {
  std::string allow = "OPTIONS";
  for (const std::string& other : methods) {
    allow += ", " + other;
    if (other == "GET") allow += ", HEAD";
  }
  Response out = site.router.error(
      path, 405, "invalid_request_error",
      fmt::format("Method {} is not allowed here, only {}", printable(method, 32), allow));
  out.headers.emplace_back("Allow", allow);
  return out;
}

}  // namespace

Site::Site(const ServerOptions& options_in, Router router_in, Submit submit_in)
    : options(checked(options_in)),
      prefix(checked_prefix(options.prefix)),
      router(std::move(router_in)),
      keys(options.api_keys),
      cors(options.cors),
      submit(std::move(submit_in)) {}

std::atomic<int>& Site::counter(Count what) {
  switch (what) {
    case Count::Connections:
      return connections_;
    case Count::Busy:
      return busy_;
    case Count::Streams:
      return streams_;
  }
  return connections_;
}

int Site::count(Count what) const { return const_cast<Site*>(this)->counter(what); }

void Site::enter(Count what) { ++counter(what); }

void Site::leave(Count what) {
  if (--counter(what) > 0 || !draining) return;
  const std::lock_guard lock(mutex_);
  came_down_.notify_all();
}

bool Site::wait_for_none(Count what, std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return came_down_.wait_until(lock, deadline, [&] { return counter(what) == 0; });
}

Admission admit(const Site& site, const RequestHead& head) {
  Admission out;
  if (head.method == "OPTIONS") {
    out.refusal = preflight(site, head);
    return out;
  }
  auto target = parse_target(head.target);
  if (!target) {
    out.refusal = site.router.error("", 400, "invalid_request_error",
                                    fmt::format("the request's target {} is not a path with valid "
                                                "escapes",
                                                quoted(head.target)));
    return out;
  }
  out.target = std::move(*target);
  auto path = below_prefix(site.prefix, out.target.path);
  std::vector<std::string> other_methods;
  std::optional<Router::Match> match;
  if (path) {
    out.target.path = std::move(*path);
    match = site.router.find(head.method, out.target.path, other_methods);
  }
  const std::string& where = out.target.path;
  if (!site.keys.empty() && !(match && match->options.open)) {
    auto key = site.keys.find(head.headers);
    if (!key) {
      out.refusal = unauthorized(site, where);
      return out;
    }
    out.api_key = std::move(*key);
  }
  if (!match) {
    out.refusal = other_methods.empty()
                      ? site.router.error(where, 404, "not_found_error", "File Not Found")
                      : not_allowed(site, where, head.method, other_methods);
  } else if (head.content_length.value_or(0) > site.options.max_body_bytes) {
    out.refusal =
        site.router.error(where, 413, "invalid_request_error",
                          fmt::format("the body has {} bytes, and this server takes at most {}",
                                      *head.content_length, site.options.max_body_bytes));
  } else {
    out.match = std::move(*match);
  }
  return out;
}

void run_handler(const Site& site, const Handler& handler, const ExchangePtr& exchange) {
  int status = 500;
  std::string type = "server_error";
  std::string message = "unknown error";
  try {
    handler(exchange);
    return;
  } catch (const RequestError& error) {
    status = 400;
    type = "invalid_request_error";
    message = error.what();
  } catch (const std::exception& error) {
    message = error.what();
  } catch (...) {
    // Something that is no exception was thrown; there is nothing to quote.
  }
  exchange->respond(site.router.error(exchange->request().path, status, type, message));
}

}  // namespace foretoken::http
