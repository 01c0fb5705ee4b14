// Boost.Beast's parser, fed with bytes that somebody else reads.
#include "http/request_reader.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>

#include "base/text.h"
#include "http/field.h"

namespace foretoken::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::error_code;

/// A body as a string that grows with what arrives. Beast's own string_body would reserve what the
/// length header promises.
struct GrowingBody {
  using value_type = std::string;

  static std::uint64_t size(const value_type& body) { return body.size(); }

  class reader {
   public:
    template <bool is_request, class Fields>
    explicit reader(beast_http::header<is_request, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<std::uint64_t>&, error_code& error) { error = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, error_code& error) {
      error = {};
      std::size_t added = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer part = *it;
        body_.append(static_cast<const char*>(part.data()), part.size());
        added += part.size();
      }
      return added;
    }
    void finish(error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

bool is_token_character(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u > 0x20 && u < 0x7F &&
         std::string_view("\"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
}

/// Whether the first line ends with "HTTP/d.d", for whatever digits.
bool names_a_version(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find("\r\n"));
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::size_t mark = line.rfind(" HTTP/");
  return mark != std::string_view::npos && line.size() == mark + 9 && is_digit(line[mark + 6]) &&
         line[mark + 7] == '.' && is_digit(line[mark + 8]) &&
         line.find(' ') == line.rfind(' ', mark - 1);
}

}  // namespace

struct RequestReader::Parser : beast_http::request_parser<GrowingBody> {};

RequestReader::RequestReader(const Limits& limits)
    : limits_(limits), parser_(std::make_unique<Parser>()) {
  parser_->header_limit(static_cast<std::uint32_t>(
      std::min<std::size_t>(limits.max_header_bytes, std::uint32_t{1} << 30)));
  // A length that is too long is the caller's to refuse, who may have other reasons to refuse
  // first.
  parser_->body_limit(boost::none);
}

RequestReader::~RequestReader() = default;

void RequestReader::fail(int status, std::string message) {
  phase_ = Phase::Failed;
  failure_ = {.status = status, .message = std::move(message)};
}

void RequestReader::fail_long_body() {
  fail(413, fmt::format("the body is longer than {} bytes, the most that this server takes",
                        limits_.max_body_bytes));
}

std::size_t RequestReader::skip_empty_lines(std::string_view bytes) {
  // Some old clients send an empty line after a body; RFC 9112 (2.2) asks to overlook it.
  std::size_t skipped = 0;
  while (bytes.substr(skipped).starts_with("\r\n")) {
    skipped += 2;
    if (++empty_lines_ > 4) {
      fail(400, "expected a request, found empty lines");
      return skipped;
    }
  }
  const std::string_view rest = bytes.substr(skipped);
  if (rest.empty() || rest == "\r") return skipped;
  // Noticed at once, not when the head's time is over: TLS on a plain port, binary noise.
  if (!is_token_character(rest.front())) {
    fail(400, fmt::format("expected a method at the start of a request, found {}",
                          quoted(rest.substr(0, 1))));
    return skipped;
  }
  started_ = true;
  return skipped;
}

std::size_t RequestReader::feed(std::string_view bytes) {
  std::size_t used = 0;
  if (phase_ == Phase::Head && !started_) used = skip_empty_lines(bytes);
  if (phase_ == Phase::Done || phase_ == Phase::Failed || (phase_ == Phase::Head && !started_)) {
    return used;
  }
  if (phase_ == Phase::Body && head_.content_length.value_or(0) > limits_.max_body_bytes) {
    fail_long_body();
    return used;
  }
  const std::string_view fresh = bytes.substr(used);
  error_code error;
  used += parser_->put(boost::asio::buffer(fresh.data(), fresh.size()), error);
  const bool head_done = phase_ == Phase::Head && parser_->is_header_done();
  if (head_done) finish_head();
  if (phase_ == Phase::Failed) return used;
  if (error == beast_http::error::need_more) {
    // Lines between chunks and fields after them are read as a whole, too.
    if (phase_ == Phase::Body && bytes.size() - used > limits_.max_header_bytes) {
      fail(431, fmt::format("a line of a chunked body is longer than {} bytes",
                            limits_.max_header_bytes));
    }
  } else if (error == beast_http::error::header_limit) {
    fail(431, fmt::format("the header of the request is longer than {} bytes",
                          limits_.max_header_bytes));
  } else if (error == beast_http::error::body_limit) {
    fail_long_body();
  } else if (error == beast_http::error::bad_version) {
    fail(names_a_version(fresh) ? 505 : 400, "the request is not HTTP/1.0 or HTTP/1.1");
  } else if (error) {
    fail(400, fmt::format("the request is not valid HTTP: {}", error.message()));
  } else if (parser_->is_done()) {
    phase_ = Phase::Done;
  }
  return used;
}

void RequestReader::finish_head() {
  const auto& message = parser_->get();
  head_.method = std::string(message.method_string());
  head_.target = std::string(message.target());
  head_.http_1_1 = message.version() == 11;
  for (const auto& field : message) {
    head_.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  if (const auto length = parser_->content_length()) head_.content_length = *length;
  head_.chunked = parser_->chunked();
  head_.keep_alive = parser_->keep_alive();
  const std::string_view expect = find_header(head_.headers, "Expect");
  head_.expects_continue = head_.http_1_1 && same_name(trimmed(expect), "100-continue");
  has_head_ = true;
  phase_ = Phase::Body;
  if (std::string complaint = complaint_about_head(); !complaint.empty()) {
    fail(400, std::move(complaint));
    return;
  }
  if (!expect.empty() && head_.http_1_1 && !head_.expects_continue) {
    fail(417, fmt::format("cannot do what the Expect header asks: {}", quoted(expect)));
    return;
  }
  if (head_.chunked) parser_->body_limit(limits_.max_body_bytes);
  // From here on as much as there is per call, not one chunk.
  parser_->eager(true);
  if (parser_->is_done()) phase_ = Phase::Done;
}

std::string RequestReader::complaint_about_head() const {
  int n_hosts = 0;
  for (const auto& [name, value] : head_.headers) {
    if (same_name(name, "Host")) ++n_hosts;
    if (same_name(name, "Transfer-Encoding") &&
        (!head_.http_1_1 || !same_name(trimmed(value), "chunked"))) {
      return fmt::format(
          "the transfer coding {} is not understood, only \"chunked\" in HTTP/1.1 is",
          quoted(value));
    }
  }
  return n_hosts > 1 ? "the request names more than one host" : "";
}

std::string RequestReader::take_body() { return std::move(parser_->get().body()); }

}  // namespace foretoken::http
