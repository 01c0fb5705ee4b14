// One HTTP request and the way to answer it. Knows nothing of language models.
//
// A handler gets a shared Exchange and may answer at once or keep it and answer later from any
// thread. All members are thread safe and none blocks: what cannot be sent yet waits in a queue of
// its own connection, so a slow reader delays nobody else.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace foretoken::http {

/// Names compare without regard to case.
using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;  ///< "GET", "POST", ...
  std::string path;    ///< decoded, without the query; the server's prefix removed
  std::map<std::string, std::string, std::less<>> query;       ///< decoded; the last of a name wins
  std::map<std::string, std::string, std::less<>> parameters;  ///< of the route's {names}
  Headers headers;
  std::string body;     ///< for the handler: gone when it returns, however long the answer takes
  std::string peer;     ///< address of the other end without its port: who asks
  std::string api_key;  ///< the key that matched, empty without keys
  /// First value of a header, or empty.
  std::string_view header(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json; charset=utf-8";
  Headers headers{};
  std::string body{};
};

struct StreamOptions {
  int status = 200;
  std::string content_type = "text/event-stream";
  Headers headers{};
  /// Sent after that many seconds without a record, so that proxies keep the connection; <= 0: off.
  double ping_seconds = 30.0;
  std::string ping = ":\n\n";
};

class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const Request& request() const = 0;

  /// The whole answer. Ignored when an answer was begun before or the connection is gone.
  virtual void respond(Response response) = 0;

  /// Begins an answer of unknown length (chunked). Headers go out at once.
  virtual void begin_stream(StreamOptions options) = 0;
  /// Queues a piece. False when the connection is gone or its queue is over its bound (the
  /// connection is then closed): the caller may stop producing.
  virtual bool write(std::string piece) = 0;
  /// Ends the stream.
  virtual void end_stream() = 0;

  /// Bytes queued and not yet taken by the socket; 0: it is writable.
  virtual std::size_t backlog() const = 0;
  /// Calls `on_close` once, from any thread, when the connection ends before the answer did. At
  /// once if it already has. Replaces an earlier one.
  virtual void on_close(std::function<void()> on_close) = 0;
  virtual bool closed() const = 0;
};

using ExchangePtr = std::shared_ptr<Exchange>;
/// Runs on a thread of the server's handler pool; may block for a while (parsing, templates), not
/// for the length of a generation. An exception of type RequestError becomes status 400, any other
/// one 500, both with the router's error body.
using Handler = std::function<void(const ExchangePtr&)>;

}  // namespace foretoken::http
