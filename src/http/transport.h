// What a connection needs of its socket, plain and with TLS. The connection is a template over it,
// so that both run the same code and nothing is decided per byte.
//
// A transport has at most one read and one write under way; both end with an error after close().
// A handler keeps its connection, and so the transport, alive.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>
#include <string_view>
#include <utility>

#include "http/output.h"

namespace foretoken::http {

namespace asio = boost::asio;
using boost::system::error_code;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, Executor>;

/// The front of an Output as Asio's sequence of buffers.
class Gather {
 public:
  using value_type = asio::const_buffer;
  using const_iterator = const asio::const_buffer*;

  explicit Gather(Output& output) {
    const Output::Parts parts = output.front();
    for (std::size_t i = 0; i < parts.n; ++i) {
      buffers_[i] = asio::const_buffer(parts.items[i].data(), parts.items[i].size());
    }
    n_ = parts.n;
  }
  const_iterator begin() const { return buffers_.data(); }
  const_iterator end() const { return buffers_.data() + n_; }

 private:
  std::array<asio::const_buffer, Output::kMaxGather> buffers_;
  std::size_t n_ = 0;
};

class PlainTransport {
 public:
  /// `scratch` belongs to the I/O thread: a connection that waits for input needs no buffer.
  PlainTransport(Socket socket, asio::mutable_buffer scratch)
      : socket_(std::move(socket)), scratch_(scratch) {
    error_code ignored;
    socket_.non_blocking(true, ignored);
  }

  Executor executor() { return socket_.get_executor(); }

  /// handler(error_code): the handshake, here nothing.
  template <class Handler>
  void async_open(Handler handler) {
    asio::post(executor(), [handler = std::move(handler)]() mutable { handler(error_code{}); });
  }

  /// handler(error_code, std::string_view): some bytes, valid during the call.
  template <class Handler>
  void async_read(Handler handler) {
    socket_.async_wait(Socket::wait_read,
                       [this, handler = std::move(handler)](error_code error) mutable {
                         std::size_t n = 0;
                         if (!error) n = socket_.read_some(scratch_, error);
                         if (error == asio::error::would_block) {
                           async_read(std::move(handler));
                         } else {
                           handler(error, {static_cast<const char*>(scratch_.data()), n});
                         }
                       });
  }

  /// handler(error_code, std::size_t): how many bytes of the front were sent.
  template <class Handler>
  void async_write(Output& output, Handler handler) {
    socket_.async_write_some(Gather(output), std::move(handler));
  }

  /// Whether bytes have arrived that nobody has read.
  bool has_input() {
    error_code ignored;
    return socket_.available(ignored) > 0;
  }

  /// handler(error_code): our half is closed.
  template <class Handler>
  void async_shutdown(Handler handler) {
    error_code error;
    socket_.shutdown(Socket::shutdown_send, error);
    asio::post(executor(), [handler = std::move(handler), error]() mutable { handler(error); });
  }

  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  Socket socket_;
  asio::mutable_buffer scratch_;
};

class TlsTransport {
 public:
  TlsTransport(Socket socket, asio::ssl::context& context) : stream_(std::move(socket), context) {}

  Executor executor() { return stream_.get_executor(); }

  template <class Handler>
  void async_open(Handler handler) {
    stream_.async_handshake(asio::ssl::stream_base::server, std::move(handler));
  }

  template <class Handler>
  void async_read(Handler handler) {
    stream_.async_read_some(asio::buffer(input_), [this, handler = std::move(handler)](
                                                      error_code error, std::size_t n) mutable {
      handler(error, {input_.data(), n});
    });
  }

  template <class Handler>
  void async_write(Output& output, Handler handler) {
    stream_.async_write_some(Gather(output), std::move(handler));
  }

  bool has_input() {
    error_code ignored;
    return stream_.next_layer().available(ignored) > 0;
  }

  template <class Handler>
  void async_shutdown(Handler handler) {
    stream_.async_shutdown(std::move(handler));
  }

  void close() {
    error_code ignored;
    stream_.next_layer().close(ignored);
  }

 private:
  asio::ssl::stream<Socket> stream_;
  /// Small beside what a TLS connection keeps anyway.
  std::array<char, 4096> input_{};
};

}  // namespace foretoken::http
