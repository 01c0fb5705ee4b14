// From bytes to requests, without sockets: Boost.Beast's parser behind a small face, so that
// Boost's headers stay in one file and the parser can be tested and fuzzed with plain strings.
//
// Sources: RFC 9112 (framing), RFC 9110 (fields). What is refused on purpose, because servers and
// proxies read it differently: a length together with chunks, two lengths, codings other than
// "chunked", two hosts (docs/http-server.md, "Reading requests").
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/exchange.h"

namespace foretoken::http {

struct RequestHead {
  std::string method;
  std::string target;  ///< as sent
  bool http_1_1 = true;
  Headers headers;
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;
  bool expects_continue = false;

  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

class RequestReader {
 public:
  struct Limits {
    std::size_t max_header_bytes = 64 << 10;
    std::size_t max_body_bytes = std::size_t{512} << 20;
  };
  enum class Phase { Head, Body, Done, Failed };
  struct Failure {
    int status = 400;
    std::string message;  ///< one sentence
  };

  explicit RequestReader(const Limits& limits);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// Reads on in `bytes` and returns how many were used. What was not used must come again, in
  /// front of what arrives later. Stops at the end of the head, so that a decision can be made
  /// about it, and at the end of the request. After a failure nothing is read. A body with a length
  /// beyond the limit fails when its reading begins.
  std::size_t feed(std::string_view bytes);

  Phase phase() const { return phase_; }
  /// Valid from Phase::Body on, and after a failure if `has_head()`.
  const RequestHead& head() const { return head_; }
  RequestHead& head() { return head_; }
  bool has_head() const { return has_head_; }
  const Failure& failure() const { return failure_; }
  /// The body read so far, once.
  std::string take_body();

 private:
  struct Parser;
  void fail(int status, std::string message);
  void fail_long_body();
  std::size_t skip_empty_lines(std::string_view bytes);
  void finish_head();
  std::string complaint_about_head() const;

  Limits limits_;
  std::unique_ptr<Parser> parser_;
  Phase phase_ = Phase::Head;
  bool started_ = false;
  bool has_head_ = false;
  std::size_t empty_lines_ = 0;
  RequestHead head_;
  Failure failure_;
};

}  // namespace foretoken::http
