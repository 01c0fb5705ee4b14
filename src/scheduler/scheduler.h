// The inference service: requests in, tokens out through listeners, one worker thread that owns the
// engine. Functions are thread safe and return at once unless they say otherwise.
// Source: docs/scheduling.md.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "engine/engine.h"
#include "scheduler/inbox.h"
#include "scheduler/options.h"
#include "scheduler/service.h"
#include "scheduler/status_board.h"
#include "scheduler/worker.h"

namespace foretoken::scheduler {

class Scheduler final : public Service {
 public:
  using EngineFactory = std::function<std::unique_ptr<engine::Engine>()>;

  /// Serves with an engine that outlives the scheduler and that nobody else runs meanwhile. Reads
  /// the state directory. Throws RequestError for options out of range or drafts without a head.
  Scheduler(engine::Engine& engine, const SchedulerOptions& options);
  /// Serves with engines from a factory: one now, and another after each sleep
  /// (SchedulerOptions::sleep_idle_seconds). Throws what the factory throws, too.
  Scheduler(EngineFactory make_engine, const SchedulerOptions& options);
  /// Cancels what is left, keeps the state directory, and joins the worker.
  ~Scheduler() override;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Takes no more requests, lets those that are here finish until `deadline`, cancels the others,
  /// writes the state directory. Returns when the worker has ended; true when nothing had to be
  /// cancelled. Later calls return at once.
  bool drain(std::chrono::steady_clock::time_point deadline);

  std::variant<RequestId, Refusal> submit(Request request) override;
  void cancel(RequestId id) override;
  void slot_action(SlotAction action, std::function<void(SlotActionResult)> done) override;

  int n_slots() const override { return options_.n_slots; }
  int slot_context() const override { return options_.n_context; }
  std::vector<SlotInfo> slots() const override { return board_.slots(); }
  Metrics metrics() const override;
  SpeculationState speculation() const override { return board_.speculation(); }
  bool is_sleeping() const override { return board_.is_sleeping(); }

 private:
  Scheduler(Worker::LoadModel load, bool may_unload, const SchedulerOptions& options);
  void check(const Request& request) const;

  SchedulerOptions options_;
  mutable StatusBoard board_;
  Inbox inbox_;
  Worker worker_;
  int n_vocab_ = 0;
  bool has_head_ = false;
  std::mutex end_mutex_;  // of the two ways to end the worker
  std::thread thread_;
};

}  // namespace foretoken::scheduler
