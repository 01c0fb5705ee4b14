// Protocol: `unclaimed` counts the pieces of the current region that nobody has taken. The caller
// describes a region in plain fields and publishes it by storing that count; then it takes pieces
// like everybody else. A piece is taken by one fetch_sub, and while a taken piece is not finished
// the caller cannot return, so the description its holder reads is the right one, however late the
// holder came. The caller therefore waits for pieces, never for threads: a worker that sleeps or
// has lost its core simply takes no part. The last decrement of `unfinished` is what the caller
// acquires, so a region's context may live on its stack.
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

// Looks before a worker parks. A pause takes 40 to 140 cycles, so this is 30 to 100 microseconds:
// longer than the serial stretch between two regions of a decode step, short enough that an idle
// pool is asleep before anybody notices.
constexpr int kSpinsBeforePark = 2000;
// Looks before the caller sleeps until the last piece is done. With more runnable threads than
// cores, a spinning caller may sit on the very core that the piece's holder needs.
constexpr int kSpinsBeforeSleep = 4000;

void pause_cpu() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

struct ThreadPool::Shared {
  // May fall below zero: a worker that comes too late subtracts once and looks again.
  alignas(64) std::atomic<int> unclaimed{0};
  alignas(64) std::atomic<int> unfinished{0};
  std::atomic<bool> caller_sleeps{false};
  alignas(64) std::atomic<std::uint32_t> wakeups{0};  // parked workers wait for it to change
  std::atomic<int> parked{0};
  std::atomic<bool> stop{false};
  // The region. Written while no piece can be claimed, read only by holders of a piece.
  alignas(64) RawBody body = nullptr;
  void* context = nullptr;
  int n_items = 0;
  int grain = 1;
  int n_pieces = 0;
  std::vector<std::thread> workers;

  void run_pieces(int thread) {
    int n_done = 0;
    while (unclaimed.load(std::memory_order_relaxed) > 0) {
      const int left = unclaimed.fetch_sub(1, std::memory_order_acquire);
      if (left <= 0) break;
      const int begin = (n_pieces - left) * grain;
      const int end = left == 1 ? n_items : begin + grain;
      body(context, begin, end, thread);
      ++n_done;
    }
    if (n_done == 0) return;
    // Sequentially consistent, as are the caller's "I sleep" and its next look: one of the two
    // sees the other.
    const bool last = unfinished.fetch_sub(n_done, std::memory_order_seq_cst) == n_done;
    if (last && thread != 0 && caller_sleeps.load(std::memory_order_seq_cst)) {
      unfinished.notify_one();
    }
  }

  void wake_workers() {
    if (parked.load(std::memory_order_seq_cst) == 0) return;
    wakeups.fetch_add(1, std::memory_order_seq_cst);
    wakeups.notify_all();
  }

  // Sleeps unless there is something to do. Either the publisher sees us in `parked` and changes
  // `wakeups`, or we see what it published.
  void park() {
    const std::uint32_t seen = wakeups.load(std::memory_order_seq_cst);
    parked.fetch_add(1, std::memory_order_seq_cst);
    if (unclaimed.load(std::memory_order_seq_cst) <= 0 && !stop.load(std::memory_order_seq_cst)) {
      wakeups.wait(seen, std::memory_order_seq_cst);
    }
    parked.fetch_sub(1, std::memory_order_relaxed);
  }

  void work(int thread) {
    int spins = 0;
    while (!stop.load(std::memory_order_relaxed)) {
      if (unclaimed.load(std::memory_order_relaxed) > 0) {
        run_pieces(thread);
        spins = 0;
      } else if (++spins < kSpinsBeforePark) {
        pause_cpu();
      } else {
        park();
        spins = 0;
      }
    }
  }

  void wait_until_finished() {
    for (int spins = 0; spins < kSpinsBeforeSleep; ++spins) {
      if (unfinished.load(std::memory_order_acquire) == 0) return;
      pause_cpu();
    }
    caller_sleeps.store(true, std::memory_order_seq_cst);
    for (int n = unfinished.load(std::memory_order_seq_cst); n != 0;
         n = unfinished.load(std::memory_order_seq_cst)) {
      unfinished.wait(n, std::memory_order_seq_cst);
    }
    caller_sleeps.store(false, std::memory_order_relaxed);
  }
};

ThreadPool::ThreadPool(int n_threads)
    : n_threads_(std::max(1, n_threads)), shared_(std::make_unique<Shared>()) {
  for (int thread = 1; thread < n_threads_; ++thread) {
    shared_->workers.emplace_back([shared = shared_.get(), thread] { shared->work(thread); });
  }
}

ThreadPool::~ThreadPool() {
  shared_->stop.store(true, std::memory_order_seq_cst);
  shared_->wake_workers();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::run(int n_items, int grain, RawBody body, void* context) {
  if (n_items <= 0) return;
  grain = std::clamp(grain, 1, n_items);
  if (n_threads_ == 1 || n_items == grain) {
    // The same pieces as with more threads: callers size their workspaces by the grain.
    for (int begin = 0, end = 0; begin < n_items; begin = end) {
      end = begin + std::min(grain, n_items - begin);
      body(context, begin, end, 0);
    }
    return;
  }
  Shared& shared = *shared_;
  shared.body = body;
  shared.context = context;
  shared.n_items = n_items;
  shared.grain = grain;
  shared.n_pieces = (n_items - 1) / grain + 1;
  shared.unfinished.store(shared.n_pieces, std::memory_order_relaxed);
  shared.unclaimed.store(shared.n_pieces, std::memory_order_seq_cst);
  shared.wake_workers();
  shared.run_pieces(0);
  shared.wait_until_finished();
}

}  // namespace foretoken
