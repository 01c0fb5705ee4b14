#include "scheduler/scheduler.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"

namespace foretoken::scheduler {
namespace {

using engine::SpeculationOptions;

SchedulerOptions checked(const SchedulerOptions& options) {
  validate(options);
  return options;
}

}  // namespace

Scheduler::Scheduler(engine::Engine& engine, const SchedulerOptions& options)
    : Scheduler([&engine, options] { return std::make_unique<LoadedModel>(engine, options); },
                false, options) {}

Scheduler::Scheduler(EngineFactory make_engine, const SchedulerOptions& options)
    : Scheduler([make = std::move(make_engine),
                 options] { return std::make_unique<LoadedModel>(make(), options); },
                true, options) {}

Scheduler::Scheduler(Worker::LoadModel load, bool may_unload, const SchedulerOptions& options)
    : options_(checked(options)),
      board_({}),
      inbox_(options_.n_slots, options_.max_queue),
      worker_(std::move(load), may_unload, options_, inbox_, board_) {
  engine::Engine& engine = worker_.model().engine();
  n_vocab_ = engine.config().n_vocab;
  has_head_ = engine.mtp_head() != nullptr;
  thread_ = std::thread([this] { worker_.run(); });
}

Scheduler::~Scheduler() { drain(std::chrono::steady_clock::now()); }

bool Scheduler::drain(std::chrono::steady_clock::time_point deadline) {
  const std::lock_guard lock(end_mutex_);
  if (!thread_.joinable()) return true;
  inbox_.close();
  const bool done = inbox_.wait_until_idle(deadline);
  if (!done) inbox_.cancel_all();
  inbox_.quit();
  thread_.join();
  return done;
}

void Scheduler::check(const Request& request) const {
  if (request.listener == nullptr) throw RequestError("the request has no listener");
  if (request.prompt.empty())
    throw RequestError("the prompt is empty: expected at least one token");
  if (request.prompt.size() >= static_cast<std::size_t>(options_.n_context)) {
    throw RequestError(
        fmt::format("request ({} tokens) exceeds the available context size ({} tokens), try "
                    "increasing it",
                    request.prompt.size(), options_.n_context));
  }
  for (const TokenId id : request.prompt) {
    if (id < 0 || id >= n_vocab_) {
      throw RequestError(
          fmt::format("token id {} of the prompt is out of range; the vocabulary "
                      "has {}",
                      id, n_vocab_));
    }
  }
  if (request.id_slot < -1 || request.id_slot >= options_.n_slots) {
    throw RequestError(fmt::format("id_slot {} is out of range: expected -1 to {}", request.id_slot,
                                   options_.n_slots - 1));
  }
  if (request.n_probs < 0 || request.n_probs > n_vocab_) {
    throw RequestError(
        fmt::format("n_probs {} is out of range: expected 0 to {}", request.n_probs, n_vocab_));
  }
  sampling::validate(request.sampling, n_vocab_);
  engine::validate(request.speculation.limits);
  if (request.speculation.type == SpeculationOptions::Type::DraftMtp && !has_head_) {
    throw RequestError("speculative.type draft-mtp: this model has no MTP head; use auto or none");
  }
}

std::variant<RequestId, Refusal> Scheduler::submit(Request request) {
  check(request);
  return inbox_.submit(std::move(request));
}

void Scheduler::cancel(RequestId id) { inbox_.cancel(id); }

void Scheduler::slot_action(SlotAction action, std::function<void(SlotActionResult)> done) {
  SlotActionResult refused;
  SlotOrder order{std::move(action), std::move(done)};
  if (order.action.slot < 0 || order.action.slot >= options_.n_slots) {
    refused.error = fmt::format("slot {} does not exist: expected 0 to {}", order.action.slot,
                                options_.n_slots - 1);
    return order.done(refused);
  }
  if (inbox_.order(order)) return;
  refused.error = "the server is stopping";
  order.done(refused);
}

Metrics Scheduler::metrics() const {
  Metrics out = board_.take_metrics();
  out.requests_deferred = inbox_.n_waiting();
  return out;
}

}  // namespace foretoken::scheduler
