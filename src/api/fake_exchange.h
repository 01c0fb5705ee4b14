// A connection without sockets, for tests of the API: it remembers what was answered, and can go
// away or read slowly.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "http/exchange.h"

namespace foretoken::api {

class FakeExchange : public http::Exchange {
 public:
  explicit FakeExchange(http::Request request) : request_(std::move(request)) {}

  const http::Request& request() const override { return request_; }
  void respond(http::Response response) override {
    const std::scoped_lock lock(mutex_);
    if (done_ || begun_) return;
    response_ = std::move(response);
    done_ = true;
    changed_.notify_all();
  }
  void begin_stream(http::StreamOptions options) override {
    const std::scoped_lock lock(mutex_);
    if (done_ || begun_) return;
    begun_ = true;
    options_ = std::move(options);
    changed_.notify_all();
  }
  bool write(std::string piece) override {
    const std::scoped_lock lock(mutex_);
    if (closed_) return false;
    if (!begun_ || done_) misuse_ = "written outside the stream: " + piece;
    pieces_.push_back(std::move(piece));
    changed_.notify_all();
    return true;
  }
  void end_stream() override {
    const std::scoped_lock lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  std::size_t backlog() const override { return fake_backlog; }
  void on_close(std::function<void()> on_close) override {
    bool now = false;
    {
      const std::scoped_lock lock(mutex_);
      now = closed_;
      if (!now) on_close_ = on_close;
    }
    if (now) on_close();
  }
  bool closed() const override {
    const std::scoped_lock lock(mutex_);
    return closed_;
  }

  /// The client goes away.
  void close() {
    std::function<void()> call;
    {
      const std::scoped_lock lock(mutex_);
      closed_ = true;
      call = std::exchange(on_close_, nullptr);
    }
    if (call) call();
  }
  /// Waits for the end of the answer; throws when none comes.
  void wait() {
    wait_for("no answer", [this] { return done_; });
  }
  void wait_for_pieces(std::size_t n) {
    wait_for("too few pieces", [this, n] { return pieces_.size() >= n; });
  }
  bool streamed() const { return begun_; }
  const http::Response& response() const { return response_; }
  const http::StreamOptions& options() const { return options_; }
  std::vector<std::string> pieces() const {
    const std::scoped_lock lock(mutex_);
    return pieces_;
  }

  std::atomic<std::size_t> fake_backlog = 0;

 private:
  template <typename Condition>
  void wait_for(const char* otherwise, Condition condition) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(60), condition)) {
      throw std::runtime_error(otherwise);
    }
    if (!misuse_.empty()) throw std::runtime_error(misuse_);
  }

  http::Request request_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  http::Response response_;
  http::StreamOptions options_;
  std::vector<std::string> pieces_;
  std::function<void()> on_close_;
  std::string misuse_;  // of this object
  bool begun_ = false;
  bool done_ = false;
  bool closed_ = false;
};

}  // namespace foretoken::api
