// Which handler answers which method and path.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.h"

namespace foretoken::http {

/// Makes the body of an error answer: (status, type, message) -> Response. The API sets it, since
/// dialects differ by path.
using ErrorFormat = std::function<Response(std::string_view path, int status, std::string_view type,
                                           std::string_view message)>;

struct RouteOptions {
  bool open = false;  ///< answered without an API key
  /// Answered on the I/O thread itself, not the handler pool: must take microseconds (/health).
  bool immediate = false;
};

class Router {
 public:
  /// Pattern: segments, {name} matching one segment, e.g. "/slots/{id}".
  void add(std::string_view method, std::string_view pattern, Handler handler,
           RouteOptions options = {});
  /// Answers paths that no pattern matches (static files), or nothing.
  void set_fallback(Handler handler, RouteOptions options = {});
  void set_error_format(ErrorFormat format);

  struct Match {
    const Handler* handler = nullptr;
    RouteOptions options;
    std::map<std::string, std::string, std::less<>> parameters;
  };
  /// Nothing: unknown path (404) or, with `other_methods` filled, a path that only knows other
  /// methods (405; HEAD is answered like GET).
  std::optional<Match> find(std::string_view method, std::string_view path,
                            std::vector<std::string>& other_methods) const;
  Response error(std::string_view path, int status, std::string_view type,
                 std::string_view message) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Handler handler;
    RouteOptions options;
  };
  std::vector<Route> routes_;
  std::optional<Route> fallback_;
  ErrorFormat error_format_;
};

}  // namespace foretoken::http
