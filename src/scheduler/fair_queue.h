// Requests that wait for a slot, in fair order: clients take turns, and each client's own requests
// keep their order. So one client that sends a hundred requests delays another's single one by one
// turn, not by a hundred.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/request.h"

namespace foretoken::scheduler {

/// A request with its name and when it came.
struct Job {
  RequestId id = 0;
  Request request;
  std::chrono::steady_clock::time_point submitted;
};

/// Not thread safe.
class FairQueue {
 public:
  /// Behind all jobs of the same client; a client that had none takes its turn last.
  void push(Job job);

  /// The next job that may start, in fair order; its client's turn is then over. A job that may not
  /// start yet holds up nobody.
  std::optional<Job> take(const std::function<bool(const Job&)>& may_start);

  /// Takes a job out; empty when it is not here.
  std::optional<Job> remove(RequestId id);
  /// Takes all out, in no particular order.
  std::vector<Job> clear();

  bool contains(RequestId id) const;
  std::size_t size() const { return size_; }

 private:
  struct Client {
    std::string name;
    std::deque<Job> jobs;
  };
  Job extract(std::list<Client>::iterator client, std::deque<Job>::iterator job);

  std::list<Client> clients_;  // whose turn is next first; none without jobs
  std::size_t size_ = 0;
};

}  // namespace foretoken::scheduler
