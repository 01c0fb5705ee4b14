// An HTTP/1.1 server on Boost.Beast and Asio coroutines: keep-alive, TLS, limits, time-outs, API
// keys, CORS, drain. One or two I/O threads carry all connections; handlers run on a small pool.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "http/router.h"

namespace foretoken::http {

struct CorsOptions {
  std::string origins = "*";  ///< "*", "localhost" (loopback origins) or a comma list
  std::string methods = "GET, POST, DELETE, OPTIONS";
  std::string headers = "*";
  bool credentials = true;
};

struct ServerOptions {
  /// Addresses; one that ends in ".sock" is a Unix socket.
  std::vector<std::string> hosts{"127.0.0.1"};
  int port = 8080;  ///< 0: any free one
  bool reuse_port = false;
  std::string prefix{};                 ///< in front of every path
  std::vector<std::string> api_keys{};  ///< empty: open
  CorsOptions cors{};
  std::string tls_key_file{};  ///< both or none
  std::string tls_certificate_file{};
  std::size_t max_body_bytes = std::size_t{128} << 20;
  std::size_t max_header_bytes = 64 << 10;
  std::chrono::seconds header_timeout{30};  ///< slow-loris: from first byte to end of headers
  std::chrono::seconds timeout{3600};       ///< reading a body, writing, idle keep-alive
  std::size_t max_stream_backlog = std::size_t{16} << 20;
  int max_connections = 16384;
  int n_io_threads = 1;
  int n_handler_threads = 4;
  std::string server_name = "foretoken";
};

class Server {
 public:
  /// Binds and listens; nothing is accepted before start(). Throws IoError naming the address
  /// (in use, not permitted, not found) and RequestError for options out of range or key files
  /// that do not fit each other.
  Server(const ServerOptions& options, Router router);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void start();
  int port() const;
  /// "http://127.0.0.1:8080", one per address.
  std::vector<std::string> urls() const;

  /// Stops accepting, closes idle connections, waits for answers in progress up to `grace`, then
  /// closes the rest. Afterwards the object can only be destroyed.
  void drain(std::chrono::milliseconds grace);

  struct Counts {
    int connections = 0;
    int streams = 0;  ///< answers in progress
  };
  Counts counts() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Raises the number of files and sockets that this process may open, as far as the system lets
/// it, up to `wanted`; returns what it is now. A connection needs one. For a program to call once.
std::size_t raise_descriptor_limit(std::size_t wanted);

}  // namespace foretoken::http
