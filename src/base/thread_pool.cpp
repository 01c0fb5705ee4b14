// Protocol: the caller publishes a region (body, range) and bumps `epoch`. Each worker that sees a
// new epoch claims pieces from `next` until none is left, then counts itself out in `left`. The
// caller does the same and waits for `left` to reach zero before it returns, so a region's
// context may live on its stack.
#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace foretoken {
namespace {

// About 20 to 50 microseconds of pauses: longer than the serial stretch between two regions of a
// decode step, short enough that an idle pool is asleep before anybody notices.
constexpr int kSpinsBeforePark = 2000;
// On a machine with more runnable threads than cores a spinning waiter may hold the core that the
// thread it waits for needs; after this many pauses it yields between looks.
constexpr int kSpinsBeforeYield = 200;

void pause_cpu() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

struct ThreadPool::Shared {
  alignas(64) std::atomic<std::uint32_t> epoch{0};
  alignas(64) std::atomic<int> next{0};
  alignas(64) std::atomic<int> left{0};
  alignas(64) std::atomic<int> parked{0};
  RawBody body = nullptr;
  void* context = nullptr;
  int n_items = 0;
  int grain = 1;
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;

  void claim_pieces(int thread) {
    for (;;) {
      const int begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= n_items) return;
      body(context, begin, std::min(begin + grain, n_items), thread);
    }
  }

  void work(int thread) {
    std::uint32_t seen = 0;
    for (;;) {
      int spins = 0;
      while (epoch.load(std::memory_order_acquire) == seen) {
        if (++spins < kSpinsBeforePark) {
          pause_cpu();
          if (spins > kSpinsBeforeYield && spins % 64 == 0) std::this_thread::yield();
        } else {
          parked.fetch_add(1, std::memory_order_seq_cst);
          epoch.wait(seen, std::memory_order_seq_cst);
          parked.fetch_sub(1, std::memory_order_relaxed);
        }
      }
      ++seen;
      if (stop.load(std::memory_order_relaxed)) return;
      claim_pieces(thread);
      left.fetch_sub(1, std::memory_order_release);
    }
  }
};

ThreadPool::ThreadPool(int n_threads)
    : n_threads_(std::max(1, n_threads)), shared_(std::make_unique<Shared>()) {
  for (int thread = 1; thread < n_threads_; ++thread) {
    shared_->workers.emplace_back([shared = shared_.get(), thread] { shared->work(thread); });
  }
}

ThreadPool::~ThreadPool() {
  shared_->stop.store(true, std::memory_order_relaxed);
  shared_->epoch.fetch_add(1, std::memory_order_seq_cst);
  shared_->epoch.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::run(int n_items, int grain, RawBody body, void* context) {
  if (n_items <= 0) return;
  grain = std::max(1, grain);
  if (n_threads_ == 1 || n_items <= grain) {
    body(context, 0, n_items, 0);
    return;
  }
  Shared& shared = *shared_;
  shared.body = body;
  shared.context = context;
  shared.n_items = n_items;
  shared.grain = grain;
  shared.next.store(0, std::memory_order_relaxed);
  shared.left.store(n_threads_ - 1, std::memory_order_relaxed);
  shared.epoch.fetch_add(1, std::memory_order_seq_cst);
  if (shared.parked.load(std::memory_order_seq_cst) > 0) shared.epoch.notify_all();
  shared.claim_pieces(0);
  int spins = 0;
  while (shared.left.load(std::memory_order_acquire) != 0) {
    pause_cpu();
    if (++spins > kSpinsBeforeYield && spins % 64 == 0) std::this_thread::yield();
  }
}

}  // namespace foretoken
