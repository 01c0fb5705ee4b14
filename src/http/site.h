// What all connections of a server share: its settings, its routes, and how much is going on.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "http/access.h"
#include "http/request_reader.h"
#include "http/router.h"
#include "http/server.h"
#include "http/url.h"

namespace foretoken::http {

class Site {
 public:
  /// Runs something on the handler pool.
  using Submit = std::function<void(std::function<void()>)>;

  /// Throws RequestError for options out of range.
  Site(const ServerOptions& options, Router router, Submit submit);

  const ServerOptions options;
  const std::string prefix;  ///< "" or "/a/b": one slash in front, none behind
  const Router router;
  const ApiKeys keys;
  const Cors cors;
  const Submit submit;

  /// No new requests: connections end after the answer they are at.
  std::atomic<bool> draining{false};
  /// Nothing goes on: connections that are about to begin do not.
  std::atomic<bool> closing{false};

  enum class Count { Connections, Busy, Streams };
  void enter(Count what);
  void leave(Count what);
  int count(Count what) const;
  /// False when the count has not come down to nothing by then.
  bool wait_for_none(Count what, std::chrono::steady_clock::time_point deadline);

 private:
  std::atomic<int>& counter(Count what);
  std::atomic<int> connections_{0};
  std::atomic<int> busy_{0};     ///< from the first byte of a request to the last of its answer
  std::atomic<int> streams_{0};  ///< from the end of a request to the last byte of its answer
  std::mutex mutex_;
  std::condition_variable came_down_;
};

/// Counts for as long as it lives.
class Presence {
 public:
  Presence(Site& site, Site::Count what) : site_(&site), what_(what) { site_->enter(what_); }
  Presence(Presence&& other) noexcept
      : site_(std::exchange(other.site_, nullptr)), what_(other.what_) {}
  Presence& operator=(Presence&&) = delete;
  ~Presence() {
    if (site_ != nullptr) site_->leave(what_);
  }

 private:
  Site* site_;
  Site::Count what_;
};

/// What becomes of a request, decided when its head is read and before its body is.
struct Admission {
  Target target;  ///< without the server's prefix
  std::string api_key;
  Router::Match match;
  std::optional<Response> refusal;  ///< the answer, when there is nothing to run
};

/// In this order: a target that cannot be read (400), OPTIONS (answered here), keys (401), unknown
/// paths (404) and methods (405), bodies that are too long (413).
Admission admit(const Site& site, const RequestHead& head);

/// Calls a handler and answers for it when it throws: RequestError is 400, all else 500.
void run_handler(const Site& site, const Handler& handler, const ExchangePtr& exchange);

}  // namespace foretoken::http
