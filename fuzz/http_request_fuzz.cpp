// Bytes from any client, through a whole connection without a socket: what arrives is cut at places
// that the input chooses, and every answer must look like one. Nothing may wait, leak or be left.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "http/connection.h"

namespace {

using namespace foretoken::http;

/// Input from a string, output to a string; the same duties as the other transports.
class MemoryTransport {
 public:
  MemoryTransport(asio::io_context& context, std::string_view input, std::size_t step,
                  std::string& output)
      : context_(&context), input_(input), step_(step), output_(&output) {}

  Executor executor() { return context_->get_executor(); }

  template <class Handler>
  void async_open(Handler handler) {
    asio::post(*context_, [handler = std::move(handler)]() mutable { handler(error_code{}); });
  }

  template <class Handler>
  void async_read(Handler handler) {
    const std::string_view bytes = closed_ ? std::string_view() : input_.substr(0, step_);
    input_.remove_prefix(bytes.size());
    // Pieces of growing size: the cuts are everywhere, and long inputs do not take long.
    step_ += step_ / 4 + 1;
    const error_code error = bytes.empty() ? error_code(asio::error::eof) : error_code();
    asio::post(*context_,
               [handler = std::move(handler), error, bytes]() mutable { handler(error, bytes); });
  }

  template <class Handler>
  void async_write(Output& output, Handler handler) {
    const std::string_view part = output.front().items[0];
    output_->append(part);
    asio::post(*context_, [handler = std::move(handler), n = part.size()]() mutable {
      handler(error_code{}, n);
    });
  }

  bool has_input() const { return !input_.empty(); }

  template <class Handler>
  void async_shutdown(Handler handler) {
    async_open(std::move(handler));
  }

  void close() { closed_ = true; }

 private:
  asio::io_context* context_;
  std::string_view input_;
  std::size_t step_;
  std::string* output_;
  bool closed_ = false;
};

Router make_router() {
  Router router;
  const Handler echo = [](const ExchangePtr& exchange) {
    const Request& request = exchange->request();
    exchange->respond({.status = 200, .headers = request.headers, .body = request.body});
  };
  router.add("GET", "/a", echo);
  router.add("POST", "/a/{id}", echo, {.open = true, .immediate = true});
  router.add("POST", "/s", [](const ExchangePtr& exchange) {
    exchange->begin_stream({});
    exchange->write(exchange->request().body);
    exchange->end_stream();
  });
  router.add("GET", "/none", [](const ExchangePtr&) {});
  return router;
}

void require(bool good) {
  if (!good) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t step = 1 + (data[0] & 0x7F);

  ServerOptions options;
  options.max_header_bytes = 2048;
  options.max_body_bytes = 4096;
  options.prefix = (data[0] & 0x80) != 0 ? "/p" : "";
  if ((data[0] & 0x80) != 0) options.api_keys = {"key"};
  const auto site = std::make_shared<Site>(options, make_router(),
                                           [](const std::function<void()>& task) { task(); });
  std::string output;
  Roll roll;
  {
    asio::io_context context{1};
    std::make_shared<Connection<MemoryTransport>>(
        MemoryTransport(context, bytes, step, output),
        Origin{site, Presence(*site, Site::Count::Connections), roll, "fuzz"})
        ->start();
    context.run_for(std::chrono::seconds(5));
    require(context.stopped());
  }
  require(site->count(Site::Count::Connections) == 0);
  require(site->count(Site::Count::Busy) == 0);
  require(output.empty() || output.starts_with("HTTP/1.1 "));
  return 0;
}
