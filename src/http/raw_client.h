// A client for tests: a blocking socket that sends exactly the bytes it is told to and reads
// answers byte for byte, so that a test can be slow, rude or wrong in a chosen way.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace foretoken::http {

struct RawAnswer {
  int status = 0;
  std::string head;                            ///< status line and fields, as received
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;                            ///< chunks put together
  bool complete = false;                       ///< the length was reached or the last chunk came
};

class RawClient {
 public:
  explicit RawClient(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  explicit RawClient(const std::string& unix_path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, unix_path.data(), unix_path.size());
    connect(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), received_(std::move(other.received_)) {}
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient() { close(); }

  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  /// Closes with a reset instead of a goodbye.
  void reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close_sending_half() { ::shutdown(fd_, SHUT_WR); }

  /// False when the other end is gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  /// Adds bytes to received(). False: end, error, or nothing within `wait`.
  bool receive(std::chrono::milliseconds wait = kPatience) {
    pollfd item{.fd = fd_, .events = POLLIN, .revents = 0};
    timed_out_ = ::poll(&item, 1, static_cast<int>(wait.count())) == 0;
    if (timed_out_) return false;
    char buffer[65536];
    const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    received_.append(buffer, static_cast<std::size_t>(n));
    return true;
  }
  const std::string& received() const { return received_; }
  bool timed_out() const { return timed_out_; }

  /// Until `text` was received; false if it was not.
  bool receive_until(std::string_view text, std::chrono::milliseconds wait = kPatience) {
    const auto deadline = std::chrono::steady_clock::now() + wait;
    while (received_.find(text) == std::string::npos) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0 || !receive(left)) return false;
    }
    return true;
  }
  /// Until the other end closes; false if it does not.
  bool receive_to_end(std::chrono::milliseconds wait = kPatience) {
    while (receive(wait)) {
    }
    return !timed_out_;
  }

  /// Reads one answer and takes it out of received(). `head_only`: it has no body, whatever it
  /// says.
  RawAnswer read_answer(bool head_only = false) {
    RawAnswer out;
    if (!receive_until("\r\n\r\n")) return out;
    const std::size_t end = received_.find("\r\n\r\n") + 4;
    out.head = received_.substr(0, end);
    received_.erase(0, end);
    parse_head(out);
    if (head_only || out.status < 200 || out.status == 204 || out.status == 304) {
      out.complete = true;
    } else if (const auto length = out.headers.find("content-length");
               length != out.headers.end()) {
      const std::size_t size = std::stoul(length->second);
      while (received_.size() < size && receive()) {
      }
      out.complete = received_.size() >= size;
      out.body = received_.substr(0, size);
      received_.erase(0, size);
    } else if (out.headers.contains("transfer-encoding")) {
      out.complete = read_chunks(out.body);
    } else {
      out.complete = receive_to_end();
      out.body = std::exchange(received_, {});
    }
    return out;
  }

  RawAnswer ask(std::string_view request) {
    send(request);
    return read_answer();
  }
  RawAnswer get(std::string_view path, std::string_view fields = "") {
    return ask("GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n" + std::string(fields) +
               "\r\n");
  }
  RawAnswer post(std::string_view path, std::string_view body, std::string_view fields = "") {
    return ask("POST " + std::string(path) +
               " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
               std::string(fields) + "\r\n" + std::string(body));
  }

  /// Generous: a busy machine is not an error.
  static constexpr std::chrono::milliseconds kPatience{20'000};

 private:
  void connect(const sockaddr* address, socklen_t size) {
    if (fd_ < 0 || ::connect(fd_, address, size) != 0) {
      const std::string why = std::strerror(errno);
      close();
      throw std::runtime_error("cannot connect: " + why);
    }
  }

  static void parse_head(RawAnswer& out) {
    out.status = std::atoi(out.head.substr(out.head.find(' ') + 1, 3).c_str());
    std::size_t at = out.head.find("\r\n") + 2;
    while (at < out.head.size()) {
      const std::size_t end = out.head.find("\r\n", at);
      const std::string line = out.head.substr(at, end - at);
      at = end + 2;
      const std::size_t colon = line.find(": ");
      if (colon == std::string::npos) continue;
      std::string name = line.substr(0, colon);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      out.headers[name] = line.substr(colon + 2);
    }
  }

  bool read_chunks(std::string& body) {
    for (;;) {
      while (received_.find("\r\n") == std::string::npos) {
        if (!receive()) return false;
      }
      const std::size_t line = received_.find("\r\n");
      const std::size_t size = std::stoul(received_.substr(0, line), nullptr, 16);
      while (received_.size() < line + 2 + size + 2) {
        if (!receive()) return false;
      }
      body += received_.substr(line + 2, size);
      received_.erase(0, line + 2 + size + 2);
      if (size == 0) return true;
    }
  }

  int fd_;
  std::string received_;
  bool timed_out_ = false;
};

}  // namespace foretoken::http
