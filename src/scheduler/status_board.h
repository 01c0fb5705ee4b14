// What the world may know of the worker: slots, counters, speculation. The worker writes after each
// step, anybody reads at any time; readers get copies and never wait for a pass.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "scheduler/service.h"

namespace foretoken::scheduler {

class StatusBoard {
 public:
  struct Content {
    std::vector<SlotInfo> slots;
    Metrics metrics;
    SpeculationState speculation;
    bool is_sleeping = false;
  };

  explicit StatusBoard(std::vector<SlotInfo> slots);

  /// Changes the content under the lock: quickly.
  void update(const std::function<void(Content&)>& change);

  std::vector<SlotInfo> slots() const;
  SpeculationState speculation() const;
  bool is_sleeping() const;
  /// With the times recorded since the last call, which are then forgotten.
  Metrics take_metrics();

 private:
  mutable std::mutex mutex_;
  Content content_;
};

/// Appends `n` equal entries unless the list has grown beyond what a reader can have missed.
void record(std::vector<double>& recent, double seconds, int n = 1);

/// Adds what a request cost since `before`.
void add_difference(Metrics& metrics, const Timings& before, const Timings& now);

}  // namespace foretoken::scheduler
