// The door between the world and the worker: requests and orders go in from any thread, the worker
// takes them out between steps and sleeps here when there is nothing to do.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "scheduler/fair_queue.h"
#include "scheduler/service.h"

namespace foretoken::scheduler {

struct SlotOrder {
  SlotAction action;
  std::function<void(SlotActionResult)> done;
};

/// What the worker is asked to do besides the queue.
struct Orders {
  std::vector<RequestId> cancelled;
  std::vector<SlotOrder> slot_orders;
  bool cancel_all = false;  ///< end everything, queued or running
  bool quit = false;        ///< stop once nothing is left to do
  bool timed_out = false;   ///< nothing came for as long as was allowed
};

class Inbox {
 public:
  using Clock = std::chrono::steady_clock;

  /// At most `max_waiting` requests beyond the `n_slots` that can be worked on.
  Inbox(int n_slots, int max_waiting);

  // ---- Any thread. ----
  std::variant<RequestId, Refusal> submit(Request request);
  void cancel(RequestId id);
  /// False when the worker takes no orders any more; `order` was not taken then.
  bool order(SlotOrder& order);
  /// From now on requests are refused.
  void close();
  /// True when nothing is queued or running by then.
  bool wait_until_idle(Clock::time_point deadline);
  void cancel_all();
  void quit();
  int n_waiting() const;

  // ---- The worker. ----

  /// Takes all orders. Waits for an order or a request unless the worker is busy, at most
  /// `patience` (empty: without end).
  Orders take_orders(bool is_busy, std::optional<Clock::duration> patience);
  /// Takes a job; it counts as running until `ended`. `may_start` is called under the lock.
  std::optional<Job> take_job(const std::function<bool(const Job&)>& may_start);
  std::optional<Job> remove_job(RequestId id);
  std::vector<Job> take_all_jobs();
  /// A job that was taken has ended.
  void ended();
  /// True while a job with this name is in the queue. To be called from may_start only.
  bool is_queued(RequestId id) const { return queue_.contains(id); }

 private:
  bool has_orders() const;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::size_t most_jobs_;
  FairQueue queue_;
  Orders orders_;
  RequestId last_id_ = 0;
  std::size_t n_running_ = 0;
  bool is_open_ = true;
  bool news_ = false;  // a request may have become ready since the worker last looked
};

}  // namespace foretoken::scheduler
