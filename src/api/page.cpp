// The page's files over HTTP: types, entity tags, compression, and headers that keep the page to
// itself. The page may load scripts, styles and pictures from this server only, nothing inline;
// that holds even if text of a model should ever find its way into the page's HTML. Source: Content
// Security Policy Level 3; docs/web-page.md.
#include "api/page.h"

#include <memory>
#include <utility>

#include "api/errors.h"
#include "api/page_files.h"
#include "api/static_content.h"
#include "api/static_folder.h"

namespace foretoken::api {
namespace {

constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

http::Response not_found() {
  return error_response(ApiError(404, "not_found_error", "File Not Found"));
}

/// Headers of any file: kept by the browser, but asked for again each time (a short "304" then).
http::Response file_response(const http::Request& request, std::string_view path,
                             std::string_view etag) {
  http::Response response;
  response.content_type = std::string(content_type_of(path));
  response.headers = {{"ETag", std::string(etag)},
                      {"Cache-Control", "no-cache"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"}};
  if (has_copy(request.header("If-None-Match"), etag)) response.status = 304;
  return response;
}

http::Response page_response(const http::Request& request) {
  const std::string_view asked = request.path;
  const std::string_view path = asked == "/" ? "/index.html" : asked;
  for (const PageFile& file : page_files()) {
    if (file.path != path) continue;
    http::Response response = file_response(request, path, file.etag);
    response.headers.emplace_back("Content-Security-Policy", kContentSecurityPolicy);
    response.headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
    response.headers.emplace_back("Vary", "Accept-Encoding");
    if (response.status == 304) return response;
    const bool compressed = accepts_gzip(request.header("Accept-Encoding"));
    if (compressed) response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = compressed ? file.gzip : file.plain;
    return response;
  }
  return not_found();
}

/// No Content-Security-Policy here: whose files they are decides what they may load.
http::Response folder_response(const StaticFolder& folder, const http::Request& request) {
  const auto file = folder.find(request.path);
  if (!file) return not_found();
  http::Response response = file_response(request, file->path.filename().string(), file->etag);
  if (response.status != 304) response.body = StaticFolder::read(*file);
  return response;
}

/// One way of answering, made from options once.
class Page {
 public:
  explicit Page(const PageOptions& options) : enabled_(options.enabled) {
    if (enabled_ && !options.static_path.empty()) folder_.emplace(options.static_path);
  }

  http::Response answer(const http::Request& request) const {
    if (!enabled_ || (request.method != "GET" && request.method != "HEAD")) return not_found();
    return folder_ ? folder_response(*folder_, request) : page_response(request);
  }

 private:
  bool enabled_;
  std::optional<StaticFolder> folder_;
};

}  // namespace

// Open: the page itself asks for the key.
void add_page_routes(http::Router& router, const PageOptions& options) {
  router.set_fallback(
      [page = std::make_shared<const Page>(options)](const http::ExchangePtr& exchange) {
        try {
          exchange->respond(page->answer(exchange->request()));
        } catch (const std::exception& error) {
          exchange->respond(error_response(error));
        }
      },
      {.open = true});
}

}  // namespace foretoken::api
