// Receiving, admitting and ending; the pass itself is in worker_pass.cpp, what is reported in
// worker_report.cpp.
#include "scheduler/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"

namespace foretoken::scheduler {
namespace {

/// A free slot that already holds at least this share of a prompt gets it, so that a conversation
/// stays where its user last saw it.
constexpr double kSlotSimilarity = 0.1;

std::size_t n_common(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                                  a.begin());
}

}  // namespace

Worker::Worker(LoadModel load, bool may_unload, const SchedulerOptions& options, Inbox& inbox,
               StatusBoard& board)
    : load_(std::move(load)),
      may_unload_(may_unload),
      options_(options),
      inbox_(inbox),
      board_(board),
      model_(load_()),
      store_(options_, model_->engine()),
      pacer_(options_.n_batch, options_.target_inter_token_ms / 1e3),
      slots_(static_cast<std::size_t>(options_.n_slots)) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].info.id = static_cast<int>(i);
    slots_[i].info.n_ctx = options_.n_context;
    slots_[i].info.speculative = model_->drafter() != nullptr;
  }
  store_.load(*model_);
  publish();
}

void Worker::run() {
  bool goes_on = true;
  while (goes_on) {
    try {
      goes_on = turn();
    } catch (const std::exception& error) {
      fail_everything(error.what());
    }
  }
  if (model_) store_.persist(*model_);
}

bool Worker::turn() {
  std::optional<Clock::duration> patience;
  if (may_unload_ && options_.sleep_idle_seconds > 0.0 && model_) {
    patience = std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(options_.sleep_idle_seconds));
  }
  // An order may have waited for the slot that was let go in the pass just before.
  const bool has_work = n_busy() > 0 || !slot_orders_.empty();
  Orders orders = inbox_.take_orders(has_work, patience);
  if (orders.timed_out) {
    fall_asleep();
    return true;
  }
  obey(orders);
  admit();
  run_slot_orders();
  if (n_busy() > 0) {
    step();
    return true;
  }
  return !orders.quit || inbox_.n_waiting() > 0;
}

void Worker::fail_everything(const std::string& error) {
  if (options_.log) options_.log(LogLevel::Error, fmt::format("the worker failed: {}", error));
  for (Slot& slot : slots_) {
    if (!slot.sequence) continue;
    slot.sequence->stop(FinishReason::Error, error);
    slot.sequence->drop_session();
    end(slot);
  }
}

// ---- Receive. ----

void Worker::obey(Orders& orders) {
  for (SlotOrder& order : orders.slot_orders) slot_orders_.push_back(std::move(order));
  for (const RequestId id : orders.cancelled) cancel(id);
  if (orders.cancel_all) cancel_everything();
}

void Worker::cancel(RequestId id) {
  if (auto job = inbox_.remove_job(id)) return refuse(*std::move(job), FinishReason::Cancelled, "");
  for (Slot& slot : slots_) {
    if (!slot.sequence || slot.sequence->id() != id) continue;
    slot.sequence->stop(FinishReason::Cancelled);
    end(slot);
  }
}

void Worker::cancel_everything() {
  for (Job& job : inbox_.take_all_jobs()) refuse(std::move(job), FinishReason::Cancelled, "");
  for (Slot& slot : slots_) {
    if (!slot.sequence) continue;
    slot.sequence->stop(FinishReason::Cancelled);
    end(slot);
  }
}

void Worker::refuse(Job job, FinishReason reason, const std::string& error) {
  Finish finish;
  finish.reason = reason;
  finish.error = error;
  try {
    job.request.listener->on_finish(finish);
  } catch (const std::exception& thrown) {
    if (options_.log) {
      options_.log(LogLevel::Error, fmt::format("task {} | its listener failed at the end: {}",
                                                job.id, thrown.what()));
    }
  }
  inbox_.ended();
}

void Worker::run_slot_orders() {
  if (slot_orders_.empty()) return;
  std::vector<SlotOrder> waiting;
  for (SlotOrder& order : std::exchange(slot_orders_, {})) {
    Slot& slot = slots_[static_cast<std::size_t>(order.action.slot)];
    if (slot.sequence) {
      waiting.push_back(std::move(order));
      continue;
    }
    SlotActionResult result;
    if (!wake()) {
      result.error = "the model could not be loaded again after its sleep; see the log";
    } else {
      engine::Session& session = model_->session(order.action.slot);
      switch (order.action.kind) {
        case SlotAction::Kind::Save:
          result = store_.save(order.action.path, *model_, session);
          break;
        case SlotAction::Kind::Restore:
          result = store_.restore(order.action.path, *model_, session);
          break;
        case SlotAction::Kind::Erase:
          result = store_.erase(session);
          break;
      }
    }
    publish();
    try {
      order.done(std::move(result));
    } catch (const std::exception& error) {
      say(slot, fmt::format("a slot action's caller failed: {}", error.what()));
    }
  }
  slot_orders_ = std::move(waiting);
}

// ---- Admit. ----

bool Worker::may_start(const Job& job) const {
  const auto is_free = [](const Slot& slot) { return slot.sequence == nullptr; };
  if (job.request.id_slot >= 0) {
    if (!is_free(slots_[static_cast<std::size_t>(job.request.id_slot)])) return false;
  } else if (std::none_of(slots_.begin(), slots_.end(), is_free)) {
    return false;
  }
  if (!job.request.after) return true;
  const RequestId first = *job.request.after;
  return !inbox_.is_queued(first) &&
         std::none_of(slots_.begin(), slots_.end(), [&](const Slot& slot) {
           return slot.sequence && slot.sequence->id() == first &&
                  slot.sequence->phase() == Sequence::Phase::Prompt;
         });
}

// The slot that was asked for; else a free one that holds much of the prompt; else the free one
// that was used longest ago.
Worker::Slot* Worker::free_slot_for(const Job& job) {
  if (job.request.id_slot >= 0) return &slots_[static_cast<std::size_t>(job.request.id_slot)];
  const std::span<const TokenId> prompt = job.request.prompt;
  Slot* best = nullptr;
  std::size_t best_common = 0;
  Slot* oldest = nullptr;
  for (Slot& slot : slots_) {
    if (slot.sequence) continue;
    const std::size_t common = n_common(model_->session(slot.info.id).tokens(), prompt);
    if (common > best_common) {
      best = &slot;
      best_common = common;
    }
    if (oldest == nullptr || slot.last_used < oldest->last_used) oldest = &slot;
  }
  const double share = static_cast<double>(best_common) / static_cast<double>(prompt.size());
  return best != nullptr && share >= kSlotSimilarity ? best : oldest;
}

void Worker::admit() {
  // Asked between all passes: with every slot taken, a long queue is not even looked at.
  while (n_busy() < options_.n_slots) {
    auto job = inbox_.take_job([this](const Job& j) { return may_start(j); });
    if (!job) return;
    if (!wake()) {
      refuse(*std::move(job), FinishReason::Error,
             "the model could not be loaded again after its sleep; see the server's log");
      continue;
    }
    Slot& slot = *free_slot_for(*job);
    start(*std::move(job), slot);
  }
}

void Worker::start(Job job, Slot& slot) {
  const RequestId id = job.id;
  const std::shared_ptr<RequestListener> listener = job.request.listener;
  try {
    slot.sequence = std::make_unique<Sequence>(std::move(job), slot.info.id, *model_, options_);
  } catch (const std::exception& error) {
    Job failed{.id = id, .request = {}, .submitted = {}};
    failed.request.listener = listener;
    return refuse(std::move(failed), FinishReason::Error, error.what());
  }
  slot.reported = {};
  slot.last_used = ++n_started_;
  slot.last_line = slot.last_token = Clock::now();
  slot.n_at_last_line = 0;
  slot.info.description = slot.sequence->request().description;
  if (options_.slots_debug) slot.info.prompt = slot.sequence->request().prompt;
  PrefixMatch match;
  guarded(slot, [&](Sequence& sequence) {
    match = store_.match(sequence.request());
    sequence.begin(match.checkpoint, std::move(match.plan));
  });
  board_.update([&](StatusBoard::Content& content) {
    if (!match.miss.empty()) ++content.metrics.prefix_misses[match.miss];
    if (match.miss == "no_checkpoint") ++content.metrics.full_reprocess[match.miss];
  });
  log_start(slot, match);
  if (slot.sequence->phase() == Sequence::Phase::Ended) return end(slot);
  publish();
}

// ---- End. ----

bool Worker::guarded(Slot& slot, const std::function<void(Sequence&)>& action) {
  try {
    action(*slot.sequence);
  } catch (const RequestError& error) {
    slot.sequence->refuse(error.what());
  } catch (const std::exception& error) {
    slot.sequence->stop(FinishReason::Error, error.what());
  } catch (...) {
    slot.sequence->stop(FinishReason::Error, "the request failed for an unknown reason");
  }
  return slot.sequence->phase() != Sequence::Phase::Ended;
}

void Worker::end_finished() {
  for (Slot& slot : slots_) {
    if (slot.sequence && slot.sequence->phase() == Sequence::Phase::Ended) end(slot);
  }
}

void Worker::end(Slot& slot) {
  publish();
  log_end(slot);
  const std::string failure = slot.sequence->finish();
  if (!failure.empty()) say(slot, fmt::format("its listener failed at the end: {}", failure));
  const engine::Generator& generator = slot.sequence->generator();
  if (generator.drafts() && slot.sequence->timings().draft_rounds > 0) {
    model_->remember(generator.policy().experience());
  }
  // What was read and written is there for the next request, also after a cancel. The listener
  // does not wait for that.
  try {
    engine::Session& session = slot.sequence->session();
    if (slot.sequence->request().cache_prompt && session.n_past() > 0) {
      store_.add(session.take_checkpoint());
    }
  } catch (const std::exception& error) {
    say(slot, fmt::format("its state could not be kept: {}", error.what()));
  }
  slot.sequence.reset();
  inbox_.ended();
  publish();
}

// ---- Sleep. ----

int Worker::n_busy() const {
  return static_cast<int>(std::count_if(slots_.begin(), slots_.end(),
                                        [](const Slot& slot) { return slot.sequence != nullptr; }));
}

void Worker::fall_asleep() {
  store_.persist(*model_);
  store_.clear();
  model_.reset();
  if (options_.log) options_.log(LogLevel::Info, "model unloaded after idle time");
  board_.update([](StatusBoard::Content& content) { content.is_sleeping = true; });
}

bool Worker::wake() {
  if (model_) return true;
  try {
    model_ = load_();
  } catch (const std::exception& error) {
    if (options_.log) {
      options_.log(LogLevel::Error, fmt::format("the model could not be loaded: {}", error.what()));
    }
    return false;
  }
  store_.load(*model_);
  if (options_.log) options_.log(LogLevel::Info, "model loaded");
  board_.update([](StatusBoard::Content& content) { content.is_sleeping = false; });
  return true;
}

}  // namespace foretoken::scheduler
