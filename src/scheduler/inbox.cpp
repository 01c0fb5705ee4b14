#include "scheduler/inbox.h"

#include <utility>

namespace foretoken::scheduler {

Inbox::Inbox(int n_slots, int max_waiting)
    : most_jobs_(static_cast<std::size_t>(n_slots) + static_cast<std::size_t>(max_waiting)) {}

std::variant<RequestId, Refusal> Inbox::submit(Request request) {
  const std::lock_guard lock(mutex_);
  if (!is_open_) return Refusal::Stopping;
  if (queue_.size() + n_running_ >= most_jobs_) return Refusal::QueueFull;
  const RequestId id = ++last_id_;
  queue_.push({id, std::move(request), Clock::now()});
  news_ = true;
  wake_.notify_one();
  return id;
}

void Inbox::cancel(RequestId id) {
  const std::lock_guard lock(mutex_);
  orders_.cancelled.push_back(id);
  wake_.notify_one();
}

bool Inbox::order(SlotOrder& order) {
  const std::lock_guard lock(mutex_);
  if (!is_open_) return false;
  orders_.slot_orders.push_back(std::move(order));
  wake_.notify_one();
  return true;
}

void Inbox::close() {
  const std::lock_guard lock(mutex_);
  is_open_ = false;
}

bool Inbox::wait_until_idle(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, deadline, [&] { return queue_.size() + n_running_ == 0; });
}

void Inbox::cancel_all() {
  const std::lock_guard lock(mutex_);
  orders_.cancel_all = true;
  wake_.notify_one();
}

void Inbox::quit() {
  const std::lock_guard lock(mutex_);
  orders_.quit = true;
  wake_.notify_one();
}

int Inbox::n_waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(queue_.size());
}

bool Inbox::has_orders() const {
  return news_ || orders_.cancel_all || orders_.quit || !orders_.cancelled.empty() ||
         !orders_.slot_orders.empty();
}

Orders Inbox::take_orders(bool is_busy, std::optional<Clock::duration> patience) {
  std::unique_lock lock(mutex_);
  bool timed_out = false;
  if (!is_busy && patience) {
    timed_out = !wake_.wait_for(lock, *patience, [&] { return has_orders(); });
  } else if (!is_busy) {
    wake_.wait(lock, [&] { return has_orders(); });
  }
  news_ = false;
  // Asked to quit once, the worker stays asked.
  Orders out = std::exchange(orders_, Orders{.cancelled = {}, .slot_orders = {}});
  orders_.quit = out.quit;
  out.timed_out = timed_out;
  return out;
}

std::optional<Job> Inbox::take_job(const std::function<bool(const Job&)>& may_start) {
  const std::lock_guard lock(mutex_);
  std::optional<Job> job = queue_.take(may_start);
  if (job) ++n_running_;
  return job;
}

std::optional<Job> Inbox::remove_job(RequestId id) {
  const std::lock_guard lock(mutex_);
  std::optional<Job> job = queue_.remove(id);
  if (job) ++n_running_;
  return job;
}

std::vector<Job> Inbox::take_all_jobs() {
  const std::lock_guard lock(mutex_);
  std::vector<Job> jobs = queue_.clear();
  n_running_ += jobs.size();
  return jobs;
}

void Inbox::ended() {
  const std::lock_guard lock(mutex_);
  --n_running_;
  news_ = news_ || queue_.size() > 0;  // a slot is free for one that waits
  idle_.notify_all();
}

}  // namespace foretoken::scheduler
