// Sockets that listen: addresses of a list of hosts, names among them, and Unix sockets.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http/server.h"

namespace foretoken::http {

/// A bound, listening, non-blocking socket. A Unix socket's file goes with it.
class Listener {
 public:
  Listener(int fd, int family, int port, std::string url, std::string unix_path);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int fd() const { return fd_; }
  int family() const { return family_; }
  int port() const { return port_; }  ///< 0 for a Unix socket
  const std::string& url() const { return url_; }

  struct Accepted {
    int fd = -1;  ///< non-blocking, closed on exec; negative: none, see `error`
    int family = 0;
    int error = 0;  ///< errno
    std::string peer;
  };
  Accepted accept() const;
  /// Stops listening; connections that wait to be accepted are refused. The descriptor stays open
  /// until destruction.
  void stop();

 private:
  int fd_;
  int family_;
  int port_;
  std::string url_;
  std::string unix_path_;
  unsigned long unix_inode_ = 0;
};

/// One socket or more for every host, in their order. Port 0 becomes one free port for all of them.
/// A name may stand for several addresses; those that this machine does not have are passed over
/// as long as one is left. Throws IoError.
std::vector<std::unique_ptr<Listener>> open_listeners(const ServerOptions& options);

}  // namespace foretoken::http
