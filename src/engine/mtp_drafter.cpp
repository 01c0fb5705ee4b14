#include "engine/mtp_drafter.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <utility>

#include "engine/batch.h"

namespace foretoken::engine {
namespace {

// Softmax probability of the largest logit, over the rows scored.
float top_probability(std::span<const float> logits, float top) {
  double sum = 0.0;
  for (const float value : logits) {
    // Terms below e^-20 cannot change the sum's fourth digit, even 250K of them.
    if (value > top - 20.0F) sum += std::exp(static_cast<double>(value - top));
  }
  return static_cast<float>(1.0 / sum);
}

// How sure the head is of the law's favourite: its own favourite, unless a constraint refused that.
float confidence_in(const sampling::Distribution& law, std::span<const float> logits,
                    bool is_constrained) {
  const float top = *std::max_element(logits.begin(), logits.end());
  const float p = top_probability(logits, top);
  if (!is_constrained) return p;
  return p * std::exp(std::min(law.candidates.front().logit - top, 0.0F));
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Draft given_draft(std::span<const TokenId> given) {
  Draft draft;
  for (const TokenId token : given) draft.add(token, sampling::Distribution::point_mass(token));
  draft.n_given = draft.size();
  return draft;
}

// One sequence on its way: which token the next step takes, and what becomes of its logits.
class MtpDrafter::Walk {
 public:
  explicit Walk(DraftTask& task) : task_(task) {
    task.draft = given_draft(task.request.given);
    // The newest pair and each draft but the last take a place in the head's cache.
    n_most_ =
        std::min(task.request.n_max, task.session->mtp_room_after_begin() + 1 - task.draft.n_given);
    is_going_ = n_most_ > 0;
  }

  bool is_going() const { return is_going_; }
  /// The steps that take given tokens come first; their logits are known.
  bool is_due() const { return task_.draft.n_steps > task_.draft.n_given; }

  void begin() {
    guarded([&] {
      for (const TokenId token : task_.request.given) enter(token);
    });
  }

  DraftStep next_step() {
    const auto n = static_cast<std::size_t>(task_.draft.n_steps++);
    if (n == 0) return {task_.session, task_.request.last, DraftStep::Kind::Begin};
    return {task_.session, task_.draft.tokens[n - 1], DraftStep::Kind::Continue};
  }

  /// A token from these logits over these ids, unless the gate has enough. `n_together`: walks
  /// that are going, this one included.
  void choose(std::span<const float> logits, std::span<const TokenId> ids, int n_together) {
    guarded([&] { is_going_ = try_choose(logits, ids, n_together); });
  }

  void end() {
    guarded([&] {
      task_.sampler->rollback(task_.draft.size());
      if (constraint() != nullptr) constraint()->rollback(task_.draft.size());
    });
  }

  void add_seconds(double seconds) { task_.draft.seconds += seconds; }
  void fail(std::exception_ptr failure) {
    task_.failure = std::move(failure);
    is_going_ = false;
  }

 private:
  sampling::TokenConstraint* constraint() const { return task_.request.constraint; }

  void enter(TokenId token) {
    task_.sampler->accept(token);
    if (constraint() != nullptr) constraint()->accept(token);
  }

  // Returns whether the draft goes on.
  bool try_choose(std::span<const float> logits, std::span<const TokenId> ids, int n_together) {
    sampling::Sampler& sampler = *task_.sampler;
    Draft& draft = task_.draft;
    sampling::Distribution law = constraint() == nullptr
                                     ? sampler.distribution(logits, ids)
                                     : sampler.draft_distribution(logits, ids, *constraint());
    if (law.candidates.empty()) return false;
    const bool is_constrained = constraint() != nullptr && constraint()->restricts();
    draft.confidence.push_back(confidence_in(law, logits, is_constrained));
    const DraftDecision decision = task_.gate(draft.confidence, n_together);
    if (decision == DraftDecision::Drop) return false;
    const bool is_drawn = task_.request.choice == DraftChoice::Drawn;
    const TokenId token = is_drawn ? sampler.draw(law) : law.top();
    draft.add(token, is_drawn ? std::move(law) : sampling::Distribution::point_mass(token));
    enter(token);
    return decision == DraftDecision::KeepAndContinue && draft.n_own() < n_most_;
  }

  // What goes wrong for one sequence concerns no other.
  template <typename Action>
  void guarded(const Action& action) {
    if (task_.failure) return;
    try {
      action();
    } catch (...) {
      fail(std::current_exception());
    }
  }

  DraftTask& task_;
  int n_most_ = 0;
  bool is_going_ = false;
};

namespace {

// Steps over the same number of sequences, timed together.
class StepTimes {
 public:
  explicit StepTimes(CostTable& costs) : costs_(costs) {}
  ~StepTimes() { flush(); }
  StepTimes(const StepTimes&) = delete;
  StepTimes& operator=(const StepTimes&) = delete;

  void add(int n_sequences, double seconds) {
    if (n_sequences != n_sequences_) flush();
    n_sequences_ = n_sequences;
    ++n_steps_;
    seconds_ += seconds;
  }

 private:
  void flush() {
    costs_.observe_draft(n_steps_, seconds_, n_sequences_);
    n_steps_ = 0;
    seconds_ = 0.0;
  }

  CostTable& costs_;
  int n_sequences_ = 0;
  int n_steps_ = 0;
  double seconds_ = 0.0;
};

}  // namespace

MtpDrafter::MtpDrafter(const Engine& engine, int n_frequent)
    : engine_(engine), vocabulary_(engine.tokenizer(), engine.config().n_vocab, n_frequent) {}

// Logits of those whose next token is due, one row after the other.
void MtpDrafter::score(std::span<Walk* const> going, std::span<const float> hidden) {
  const std::size_t width = hidden.size() / going.size();
  const auto n_due = static_cast<std::size_t>(
      std::count_if(going.begin(), going.end(), [](const Walk* walk) { return walk->is_due(); }));
  const float* rows = hidden.data();
  if (n_due < going.size()) {
    rows_.clear();
    for (std::size_t i = 0; i < going.size(); ++i) {
      const std::span<const float> row = hidden.subspan(i * width, width);
      if (going[i]->is_due()) rows_.insert(rows_.end(), row.begin(), row.end());
    }
    rows = rows_.data();
  }
  logits_.resize(n_due * vocabulary_.ids().size());
  if (n_due == 0) return;
  engine_.mtp_head()->logits(rows, static_cast<int>(n_due), vocabulary_.ranges(), logits_.data());
}

// One step of all that are going.
void MtpDrafter::step(std::span<Walk* const> going, Batch& batch) {
  std::vector<DraftStep> steps;
  for (Walk* walk : going) steps.push_back(walk->next_step());
  try {
    score(going, batch.mtp_step(steps));
  } catch (...) {
    for (Walk* walk : going) walk->fail(std::current_exception());
    return;
  }
  const std::span<const TokenId> ids = vocabulary_.ids();
  std::span<const float> logits = logits_;
  auto n_together = static_cast<int>(going.size());
  for (Walk* walk : going) {
    if (!walk->is_due()) continue;
    walk->choose(logits.first(ids.size()), ids, n_together);
    logits = logits.subspan(ids.size());
    if (!walk->is_going()) --n_together;
  }
}

void MtpDrafter::propose(std::span<DraftTask* const> tasks, CostTable& costs) {
  std::vector<Walk> walks;
  for (DraftTask* task : tasks) walks.emplace_back(*task);
  std::vector<Walk*> going;
  for (Walk& walk : walks) {
    walk.begin();
    going.push_back(&walk);
  }
  StepTimes times(costs);
  while (true) {
    std::erase_if(going, [](const Walk* walk) { return !walk->is_going(); });
    if (going.empty()) break;
    const auto start = std::chrono::steady_clock::now();
    step(going, tasks.front()->session->batch());
    const double seconds = seconds_since(start);
    times.add(static_cast<int>(going.size()), seconds);
    for (Walk* walk : going) walk->add_seconds(seconds / static_cast<double>(going.size()));
  }
  for (Walk& walk : walks) walk.end();
}

}  // namespace foretoken::engine
