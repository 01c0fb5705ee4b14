// A server on a free port of the loopback interface, for tests.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "http/raw_client.h"
#include "http/server.h"

namespace foretoken::http {

inline Response text_response(std::string body) {
  return {.status = 200, .content_type = "text/plain", .headers = {}, .body = std::move(body)};
}

class TestServer {
 public:
  explicit TestServer(Router router, ServerOptions options = {}) {
    options.port = 0;
    server_ = std::make_unique<Server>(options, std::move(router));
    server_->start();
  }
  RawClient client() const { return RawClient(server_->port()); }
  Server* operator->() { return server_.get(); }
  void destroy() { server_.reset(); }

 private:
  std::unique_ptr<Server> server_;
};

}  // namespace foretoken::http
