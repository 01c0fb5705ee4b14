// What a handler has said and the connection has not sent yet: the meeting point of handlers'
// threads and the one I/O thread of a connection.
//
// Handlers put things in and ring; the connection, on its own thread, takes them out and writes
// them. Neither waits for the other. When the connection ends, the two are parted: an Exchange that
// somebody still holds, even after the server is gone, then just says that it is closed.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "http/exchange.h"

namespace foretoken::http {

class Answer {
 public:
  /// `ring` wakes the connection; it is called under a lock and from any thread, so it may only
  /// post. It is not called before the first take(), for which nobody needs to be woken.
  Answer(Request request, std::size_t max_backlog, std::function<void()> ring);

  // For handlers, by way of an Exchange.
  const Request& request() const { return request_; }
  void respond(Response response);
  void begin_stream(StreamOptions options);
  bool write(std::string piece);
  void end_stream();
  std::size_t backlog() const;
  void on_close(std::function<void()> on_close);
  bool closed() const;
  /// The last handle is gone: nothing more will be said.
  void drop();

  // For the connection.
  /// To be called when the handler has returned, on its thread: an answer may wait for its turn and
  /// then take minutes, and bodies are large.
  void drop_body() { std::string().swap(request_.body); }
  struct Delivery {
    std::optional<Response> whole;
    std::optional<StreamOptions> begin;
    std::vector<std::string> pieces;
    bool ended = false;     ///< this is the last of it
    bool dropped = false;   ///< no more will come, though the answer is not complete
    bool overflow = false;  ///< the backlog went over its bound: hang up
  };
  /// What was said since the last call. Without `room` only `overflow` is looked at, and the rest
  /// stays where it is.
  Delivery take(bool room);
  /// How much of what was taken the socket has not taken yet.
  void set_in_flight(std::size_t bytes);
  /// The other end sends nothing more and has, most likely, gone. Whoever produces the answer is
  /// told to stop; a whole one is sent all the same, for clients that only closed their half.
  void peer_left();
  /// The connection is over. Afterwards nothing rings.
  void part();

 private:
  bool complete() const { return ended_ || dropped_; }
  void ring();
  void tell_closed();

  Request request_;
  const std::size_t max_backlog_;
  mutable std::mutex mutex_;
  std::function<void()> ring_;
  bool rung_ = true;
  bool begun_ = false;
  bool streaming_ = false;
  bool ended_ = false;
  bool dropped_ = false;
  bool overflow_ = false;
  bool closed_ = false;  ///< the peer left or the connection is over
  bool parted_ = false;
  std::size_t queued_ = 0;
  std::size_t in_flight_ = 0;
  Delivery next_;
  std::function<void()> on_close_;
};

/// The handle that handlers get. When the last copy goes before the answer is complete, the
/// connection learns of it.
ExchangePtr make_exchange(std::shared_ptr<Answer> answer);

}  // namespace foretoken::http
