// The one inference thread: receive, admit, build a pass for all slots, run it, deliver.
//
// Every pass holds the last tokens and drafts of all replies and stretches of prompts, oldest
// first, short enough that replies keep their pace (prefill_pacer.h). Slots keep nothing that
// counts between requests: whatever a request starts from comes out of the prefix cache, and what
// it leaves goes in.
// Source: docs/scheduling.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/inbox.h"
#include "scheduler/loaded_model.h"
#include "scheduler/options.h"
#include "scheduler/prefill_pacer.h"
#include "scheduler/prefix_store.h"
#include "scheduler/sequence.h"
#include "scheduler/status_board.h"

namespace foretoken::scheduler {

class Worker {
 public:
  using LoadModel = std::function<std::unique_ptr<LoadedModel>()>;

  /// Loads the model; throws what that throws. All references must outlive it.
  Worker(LoadModel load, bool may_unload, const SchedulerOptions& options, Inbox& inbox,
         StatusBoard& board);

  const LoadedModel& model() const { return *model_; }

  /// Works until it is told to quit and nothing is left. On its own thread, once.
  void run();

 private:
  using Clock = std::chrono::steady_clock;

  struct Slot {
    std::unique_ptr<Sequence> sequence;  // null: idle
    SlotInfo info;
    Timings reported;  // of the sequence, as counted in the metrics
    std::uint64_t last_used = 0;
    Clock::time_point last_token;
    Clock::time_point last_line;  // of the log
    int n_at_last_line = 0;
  };

  /// A pass in the making, and what came out of it.
  struct Pass {
    std::vector<Slot*> replies;  // that decode
    std::vector<Slot*> prompts;
    std::vector<int> n_prompt;  // tokens of each prompt in it
    std::vector<engine::BatchPart> parts;
    std::vector<Slot*> owners;  // of the parts
    std::vector<int> columns;   // of each reply
    int n_columns = 0;
    int n_prompt_tokens = 0;
  };

  /// One turn of the loop; false when it was the last.
  bool turn();
  /// What nobody expected went wrong outside any request: all that are running end.
  void fail_everything(const std::string& error);

  // ---- Receive and admit. ----
  int n_busy() const;  // slots with a request
  void obey(Orders& orders);
  void cancel(RequestId id);
  void cancel_everything();
  void run_slot_orders();
  void admit();
  bool may_start(const Job& job) const;
  Slot* free_slot_for(const Job& job);
  void start(Job job, Slot& slot);
  void refuse(Job job, FinishReason reason, const std::string& error);

  // ---- One pass. ----
  void step();
  void plan_replies(Pass& pass);
  void plan_prompts(Pass& pass);
  void add_part(Pass& pass, Slot& slot, engine::BatchPart part);
  void deliver_replies(Pass& pass, const std::vector<engine::BatchOutput>& outputs,
                       Clock::time_point start);
  void deliver_prompts(Pass& pass, std::vector<engine::BatchOutput>& outputs);
  /// Runs one step of one request; whatever it throws ends that request alone.
  bool guarded(Slot& slot, const std::function<void(Sequence&)>& action);
  void fail_pass(Pass& pass, const std::string& error);

  // ---- Afterwards. ----
  void end_finished();
  void end(Slot& slot);
  void publish();
  void publish_speculation(StatusBoard::Content& content) const;
  void log_start(const Slot& slot, const PrefixMatch& match) const;
  void log_end(const Slot& slot) const;
  void log_progress(Slot& slot) const;
  void say(const Slot& slot, const std::string& text) const;

  // ---- Sleep. ----
  void fall_asleep();
  bool wake();

  LoadModel load_;
  bool may_unload_;
  SchedulerOptions options_;
  Inbox& inbox_;
  StatusBoard& board_;
  std::unique_ptr<LoadedModel> model_;  // null while asleep
  PrefixStore store_;
  PrefillPacer pacer_;
  std::vector<Slot> slots_;
  std::vector<SlotOrder> slot_orders_;  // that wait for their slot
  std::uint64_t n_started_ = 0;
};

}  // namespace foretoken::scheduler
