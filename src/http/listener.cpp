// Binding and accepting with the system's own calls: their errors can be told apart and said in
// words, and accept4() makes sockets that are not inherited.
#include "http/listener.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/text.h"

namespace foretoken::http {
namespace {

/// Connections that may wait to be accepted; the system cuts it to its own bound.
constexpr int kBacklog = 4096;

std::string reason(int error) { return std::strerror(error); }

struct Endpoint {
  sockaddr_storage address{};
  socklen_t size = 0;
};

sockaddr* as_sockaddr(Endpoint& endpoint) { return reinterpret_cast<sockaddr*>(&endpoint.address); }

int port_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  }
  if (address.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  }
  return 0;
}

std::string url_of(std::string_view scheme, std::string_view host, int port) {
  return fmt::format("{}{}:{}", scheme, host, port);
}

/// "127.0.0.1", "[::1]", "unix".
std::string host_of(const sockaddr_storage& address, socklen_t size) {
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return "unix";
  char host[NI_MAXHOST] = {};
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof host, nullptr, 0,
                  NI_NUMERICHOST) != 0) {
    return "unknown";
  }
  return address.ss_family == AF_INET6 ? fmt::format("[{}]", host) : host;
}

[[noreturn]] void throw_bind_error(const std::string& where, int port, int error) {
  std::string advice;
  if (error == EADDRINUSE) {
    advice = fmt::format(
        "; another program uses it (`ss -ltnp 'sport = :{}'` names it): stop that "
        "one or choose another port",
        port);
  } else if (error == EACCES) {
    advice = "; ports below 1024 need a privilege: choose a higher one";
  } else if (error == EADDRNOTAVAIL) {
    advice = "; no network interface of this machine has this address (`ip address` lists them)";
  }
  throw IoError(fmt::format("cannot listen on {}: {}{}", where, reason(error), advice));
}

int bound_port(int fd) {
  Endpoint endpoint;
  endpoint.size = sizeof endpoint.address;
  if (getsockname(fd, as_sockaddr(endpoint), &endpoint.size) != 0) {
    throw IoError(fmt::format("cannot ask a socket for its port: {}", reason(errno)));
  }
  return port_of(endpoint.address);
}

/// Binds and listens; returns errno or 0.
int bind_and_listen(int fd, Endpoint& endpoint, bool reuse_port, bool dual_stack) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return errno;
  if (endpoint.address.ss_family == AF_INET6) {
    const int only = dual_stack ? 0 : 1;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  }
  if (::bind(fd, as_sockaddr(endpoint), endpoint.size) != 0) return errno;
  return ::listen(fd, kBacklog) == 0 ? 0 : errno;
}

bool same_address(const Endpoint& a, const Endpoint& b) {
  return a.size == b.size && std::memcmp(&a.address, &b.address, a.size) == 0;
}

std::vector<Endpoint> resolve(const std::string& host, int port) {
  std::string_view name = host;
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  const int status =
      getaddrinfo(std::string(name).c_str(), std::to_string(port).c_str(), &hints, &list);
  if (status != 0) {
    throw IoError(
        fmt::format("cannot listen on host {}: {}; give an address of this machine, "
                    "0.0.0.0 for all of them, or a path that ends in .sock",
                    quoted(host), gai_strerror(status)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, &freeaddrinfo);
  std::vector<Endpoint> out;
  for (const addrinfo* item = list; item != nullptr; item = item->ai_next) {
    Endpoint endpoint;
    if (item->ai_addrlen > sizeof endpoint.address) continue;
    std::memcpy(&endpoint.address, item->ai_addr, item->ai_addrlen);
    endpoint.size = item->ai_addrlen;
    if (std::ranges::none_of(out, [&](const Endpoint& e) { return same_address(e, endpoint); })) {
      out.push_back(endpoint);
    }
  }
  return out;
}

void set_port(Endpoint& endpoint, int port) {
  const auto network = htons(static_cast<std::uint16_t>(port));
  if (endpoint.address.ss_family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(endpoint.address).sin_port = network;
  } else {
    reinterpret_cast<sockaddr_in6&>(endpoint.address).sin6_port = network;
  }
}

using Listeners = std::vector<std::unique_ptr<Listener>>;

/// The same address twice, as "127.0.0.1" and "localhost", is one socket.
bool is_taken_by(const Listeners& listeners, const Endpoint& endpoint) {
  return std::ranges::any_of(listeners, [&](const std::unique_ptr<Listener>& listener) {
    Endpoint other;
    other.size = sizeof other.address;
    return getsockname(listener->fd(), as_sockaddr(other), &other.size) == 0 &&
           same_address(other, endpoint);
  });
}

/// `port` is what was asked for; 0 becomes the port that the first socket got.
void open_host(const ServerOptions& options, const std::string& host, int& port, Listeners& out) {
  // "::" takes IPv4 along, unless that was asked for separately.
  const bool dual_stack = std::ranges::none_of(
      options.hosts, [](const std::string& other) { return other == "0.0.0.0"; });
  bool open = false;
  int passed_over = 0;
  std::string passed_where;
  for (Endpoint& endpoint : resolve(host, port)) {
    set_port(endpoint, port);
    if (is_taken_by(out, endpoint)) {
      open = true;
      continue;
    }
    const std::string where =
        url_of("", host_of(endpoint.address, endpoint.size), port_of(endpoint.address));
    const int family = endpoint.address.ss_family;
    const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int error =
        fd < 0 ? errno : bind_and_listen(fd, endpoint, options.reuse_port, dual_stack);
    if (error == 0) {
      open = true;
      if (port == 0) port = bound_port(fd);
      const char* scheme = options.tls_certificate_file.empty() ? "http://" : "https://";
      // The address as it was asked for, so that the line in the log can be recognised.
      const bool bare_ipv6 = host.find(':') != std::string::npos && !host.starts_with('[');
      out.push_back(std::make_unique<Listener>(
          fd, family, port, url_of(scheme, bare_ipv6 ? fmt::format("[{}]", host) : host, port),
          ""));
      continue;
    }
    if (fd >= 0) ::close(fd);
    if (error != EADDRNOTAVAIL && error != EAFNOSUPPORT) throw_bind_error(where, port, error);
    passed_over = error;
    passed_where = where;
  }
  if (!open) throw_bind_error(passed_where, port, passed_over);
}

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    throw IoError(
        fmt::format("cannot listen on {}: the path of a Unix socket has at most {} bytes, "
                    "this one has {}",
                    quoted(path), sizeof address.sun_path - 1, path.size()));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

/// Removes the socket of a server that is no more. Anything else at that path stays and is an
/// error.
void remove_stale_socket(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return;
    throw IoError(fmt::format("cannot look at {}: {}", quoted(path), reason(errno)));
  }
  if (!S_ISSOCK(info.st_mode)) {
    throw IoError(
        fmt::format("cannot listen on {}: a file that is no socket is there; remove it or "
                    "choose another path",
                    quoted(path)));
  }
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (probe.get() < 0) throw IoError(fmt::format("cannot make a socket: {}", reason(errno)));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno != ECONNREFUSED) {
    throw IoError(
        fmt::format("cannot listen on {}: another program answers there; stop it or choose "
                    "another path",
                    quoted(path)));
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw IoError(fmt::format("cannot remove the old socket {}: {}", quoted(path), reason(errno)));
  }
}

void open_unix(const std::string& path, Listeners& out) {
  const sockaddr_un address = unix_address(path);
  remove_stale_socket(path, address);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw IoError(fmt::format("cannot make a socket: {}", reason(errno)));
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    const int error = errno;
    ::close(fd);
    throw IoError(fmt::format("cannot listen on {}: {}", quoted(path), reason(error)));
  }
  out.push_back(std::make_unique<Listener>(fd, AF_UNIX, 0, "unix:" + path, path));
}

}  // namespace

Listener::Listener(int fd, int family, int port, std::string url, std::string unix_path)
    : fd_(fd),
      family_(family),
      port_(port),
      url_(std::move(url)),
      unix_path_(std::move(unix_path)) {
  struct stat info {};
  if (!unix_path_.empty() && ::lstat(unix_path_.c_str(), &info) == 0) unix_inode_ = info.st_ino;
}

Listener::~Listener() {
  stop();
  ::close(fd_);
}

void Listener::stop() {
  ::shutdown(fd_, SHUT_RDWR);
  if (unix_path_.empty()) return;
  // Another server may have put its own socket there in the meantime.
  struct stat info {};
  if (::lstat(unix_path_.c_str(), &info) == 0 && info.st_ino == unix_inode_) {
    ::unlink(unix_path_.c_str());
  }
  unix_path_.clear();
}

Listener::Accepted Listener::accept() const {
  Endpoint peer;
  peer.size = sizeof peer.address;
  Accepted out;
  out.fd = ::accept4(fd_, as_sockaddr(peer), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (out.fd < 0) {
    out.error = errno;
    return out;
  }
  out.family = family_;
  out.peer = host_of(peer.address, peer.size);
  if (family_ != AF_UNIX) {
    // Tokens go out one by one; none may wait for the acknowledgement of the one before.
    const int on = 1;
    setsockopt(out.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // A peer that vanished without a word is noticed in the end, even on an idle connection.
    setsockopt(out.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  return out;
}

std::vector<std::unique_ptr<Listener>> open_listeners(const ServerOptions& options) {
  Listeners out;
  int port = options.port;
  for (const std::string& host : options.hosts) {
    if (host.ends_with(".sock")) {
      open_unix(host, out);
    } else {
      open_host(options, host, port, out);
    }
  }
  return out;
}

std::size_t raise_descriptor_limit(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t target = std::min<rlim_t>(std::max<rlim_t>(limit.rlim_cur, wanted), limit.rlim_max);
  rlimit raised = limit;
  raised.rlim_cur = target;
  if (::setrlimit(RLIMIT_NOFILE, &raised) != 0) return limit.rlim_cur;
  return target;
}

}  // namespace foretoken::http
