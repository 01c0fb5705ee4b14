// The pool's contract: every item exactly once, thread indices that nobody shares, results visible
// to the caller, and no dependence on how many processors happen to be free.
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <numeric>
#include <thread>
#include <vector>

namespace foretoken {
namespace {

using Clock = std::chrono::steady_clock;

/// Threads that keep processors busy while it lives.
class Load {
 public:
  explicit Load(unsigned n_threads) {
    for (unsigned i = 0; i < n_threads; ++i) {
      threads_.emplace_back([this] {
        while (!stop_.load(std::memory_order_relaxed)) {
        }
      });
    }
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  ~Load() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

unsigned n_cores() { return std::max(1U, std::thread::hardware_concurrency()); }

void spin_for(std::chrono::microseconds duration) {
  const Clock::time_point end = Clock::now() + duration;
  while (Clock::now() < end) {
  }
}

void expect_each_item_once(ThreadPool& pool, int n_items, int grain) {
  // Plain ints on purpose: the thread sanitizer sees two threads that write the same item.
  std::vector<int> seen(static_cast<std::size_t>(n_items), 0);
  pool.parallel_for(n_items, grain, [&](int begin, int end, int) {
    for (int i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), n_items)
      << n_items << " items, grain " << grain << ", " << pool.size() << " threads";
}

TEST(ThreadPool, RunsEveryItemExactlyOnce) {
  for (const int n_threads : {1, 2, 3, 4, 7}) {
    ThreadPool pool(n_threads);
    for (const int n_items : {0, 1, 2, 3, 15, 16, 17, 1000}) {
      for (const int grain : {1, 2, 16, 999, 1000, 5000}) {
        expect_each_item_once(pool, n_items, grain);
      }
    }
  }
}

TEST(ThreadPool, PiecesRespectTheGrainAndTheThreadCount) {
  for (const int n_threads : {1, 4}) {
    ThreadPool pool(n_threads);
    std::atomic<int> wrong{0};
    pool.parallel_for(1003, 10, [&](int begin, int end, int thread) {
      if (begin % 10 != 0 || end - begin > 10 || end <= begin) ++wrong;
      if (thread < 0 || thread >= pool.size()) ++wrong;
    });
    EXPECT_EQ(wrong, 0) << n_threads << " threads";
  }
}

TEST(ThreadPool, NegativeItemCountRunsNothing) {
  ThreadPool pool(2);
  std::atomic<int> calls{0};
  pool.parallel_for(-5, 1, [&](int, int, int) { ++calls; });
  EXPECT_EQ(calls, 0);
}

TEST(ThreadPool, LargestRangeDoesNotOverflow) {
  constexpr int kItems = 2147483647;
  for (const int n_threads : {1, 2}) {
    ThreadPool pool(n_threads);
    std::atomic<long long> total{0};
    pool.parallel_for(kItems, 1 << 30, [&](int begin, int end, int) { total += end - begin; });
    EXPECT_EQ(total, kItems);
  }
}

TEST(ThreadPool, ThreadIndexHasOneUserAtATime) {
  const int n_threads = static_cast<int>(4 * n_cores());
  ThreadPool pool(n_threads);
  std::vector<std::atomic<int>> users(static_cast<std::size_t>(n_threads));
  std::atomic<int> shared{0};
  for (int region = 0; region < 50; ++region) {
    pool.parallel_for(4 * n_threads, 1, [&](int, int, int thread) {
      std::atomic<int>& mine = users[static_cast<std::size_t>(thread)];
      if (mine.fetch_add(1) != 0) ++shared;
      spin_for(std::chrono::microseconds(5));
      mine.fetch_sub(1);
    });
  }
  EXPECT_EQ(shared, 0);
}

TEST(ThreadPool, WritesOfTheBodyAreVisibleAfterTheRegion) {
  ThreadPool pool(4);
  std::vector<long long> partial(257);
  for (long long round = 0; round < 2000; ++round) {
    pool.parallel_for(257, 4, [&](int begin, int end, int) {
      for (int i = begin; i < end; ++i) partial[static_cast<std::size_t>(i)] = round + i;
    });
    const long long sum = std::accumulate(partial.begin(), partial.end(), 0LL);
    ASSERT_EQ(sum, 257 * round + 257 * 128);
  }
}

TEST(ThreadPool, WorkersTakePart) {
  ThreadPool pool(2);
  // Each piece waits until both have begun, so one thread alone could never finish.
  std::atomic<int> begun{0};
  std::atomic<bool> gave_up{false};
  const Clock::time_point limit = Clock::now() + std::chrono::seconds(60);
  pool.parallel_for(2, 1, [&](int, int, int) {
    ++begun;
    while (begun < 2 && !gave_up) {
      if (Clock::now() > limit) gave_up = true;
    }
  });
  EXPECT_FALSE(gave_up);
}

TEST(ThreadPool, WorksAgainAfterItsWorkersParked) {
  ThreadPool pool(4);
  for (int round = 0; round < 20; ++round) {
    expect_each_item_once(pool, 64, 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
}

TEST(ThreadPool, IdlePoolBurnsNoProcessorTime) {
  ThreadPool pool(4);
  expect_each_item_once(pool, 64, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // long enough to park
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const double used_s = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LT(used_s, 0.1);  // three spinning workers would use 0.9 s, or the cores there are
}

TEST(ThreadPool, ManyMoreThreadsThanCoresStillCoverEveryItem) {
  ThreadPool pool(static_cast<int>(4 * n_cores()));
  const Load load(n_cores());
  for (int round = 0; round < 50; ++round) expect_each_item_once(pool, 200, 3);
}

// A worker that has no core must not be waited for. One that lost its core while holding a piece
// must be, for a scheduler slice of some milliseconds; that is why the median is looked at.
TEST(ThreadPool, RegionsStayShortWhileOtherProcessesUseEveryCore) {
  ThreadPool pool(static_cast<int>(n_cores()));
  const Load load(2 * n_cores());
  std::vector<double> times_ms;
  for (int round = 0; round < 501; ++round) {
    spin_for(std::chrono::microseconds(20));  // the serial stretch between two regions
    const Clock::time_point start = Clock::now();
    pool.parallel_for(16, 1, [](int, int, int) { spin_for(std::chrono::microseconds(10)); });
    times_ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::nth_element(times_ms.begin(), times_ms.begin() + 250, times_ms.end());
  EXPECT_LT(times_ms[250], 2.0);  // the work is 0.16 ms; waiting for sleepers made it 4 to 8 ms
}

TEST(ThreadPool, CanBeDestroyedAtOnceAndAfterUse) {
  for (int round = 0; round < 100; ++round) {
    ThreadPool unused(4);
    ThreadPool used(4);
    expect_each_item_once(used, 8, 1);
  }
}

TEST(ThreadPool, ThreadCountBelowOneMeansOne) {
  ThreadPool pool(0);
  EXPECT_EQ(pool.size(), 1);
  expect_each_item_once(pool, 10, 3);
}

}  // namespace
}  // namespace foretoken
