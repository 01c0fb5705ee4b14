// A persistent pool for short parallel regions (tens of microseconds to milliseconds).
//
// Workers spin for a moment after each region and then park, so that back-to-back regions cost
// little and an idle engine burns no cores. Work is claimed in pieces from a shared counter: a
// worker that the system has taken off its core delays only the piece it holds, not a fixed share.
// Every item's result must not depend on which thread computes it.
#pragma once

#include <memory>
#include <type_traits>

namespace foretoken {

class ThreadPool {
 public:
  /// `n_threads` counts the calling thread; 1 means no workers. Requires n_threads >= 1.
  explicit ThreadPool(int n_threads);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int size() const { return n_threads_; }

  /// Runs body(begin, end, thread) until [0, n_items) is covered, in pieces of at most `grain`
  /// items; returns when all are done. `thread` is in [0, size()). The body must not throw and
  /// must not call the pool. One caller at a time.
  template <class Body>
  void parallel_for(int n_items, int grain, Body&& body) {
    using Fn = std::remove_reference_t<Body>;
    run(
        n_items, grain,
        [](void* context, int begin, int end, int thread) {
          (*static_cast<Fn*>(context))(begin, end, thread);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using RawBody = void (*)(void* context, int begin, int end, int thread);
  void run(int n_items, int grain, RawBody body, void* context);

  struct Shared;
  int n_threads_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace foretoken
