// One pass: what goes in, and what is made of what comes out.
#include <algorithm>
#include <exception>
#include <numeric>
#include <utility>

#include "scheduler/column_budget.h"
#include "scheduler/worker.h"

namespace foretoken::scheduler {
namespace {

double first_of(const ColumnBid& bid) { return bid.reach.empty() ? 0.0 : bid.reach.front(); }

// How many of n drafts are expected to be kept. Without a bid they come from a constraint, and are.
double expected_kept(const ColumnBid& bid, int n) {
  double kept = 0.0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    kept += i < bid.reach.size() ? bid.reach[i] : 1.0;
  }
  return kept;
}

}  // namespace

void Worker::add_part(Pass& pass, Slot& slot, engine::BatchPart part) {
  pass.parts.push_back(part);
  pass.owners.push_back(&slot);
}

// All sequences draft in step. Each plans with what those more promising than it are likely to
// take; the columns that they cannot use, the next may.
void Worker::plan_replies(Pass& pass) {
  std::vector<ColumnBid> bids;
  std::vector<Slot*> running;
  for (Slot& slot : slots_) {
    if (!slot.sequence || slot.sequence->phase() != Sequence::Phase::Decode) continue;
    if (slot.sequence->is_over_context()) {
      slot.sequence->stop(FinishReason::ContextFull);
      continue;
    }
    running.push_back(&slot);
    bids.push_back({slot.sequence->draft_reach()});
  }
  const std::vector<int> shares = share_columns(bids, options_.column_budget);
  std::vector<std::size_t> order(running.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return first_of(bids[a]) > first_of(bids[b]);
  });
  const auto will_draft = [&](std::size_t i) {
    return shares[i] > 0 && !running[i]->sequence->generator().policy().parked();
  };
  const auto n_drafting = static_cast<int>(std::count_if(order.begin(), order.end(), will_draft));
  const int n_others = static_cast<int>(running.size()) - 1;
  int n_left_over = 0;
  int n_drafted = 0;
  double n_tokens = n_others;  // that the others are expected to gain
  std::vector<engine::DraftTask*> tasks;
  for (const std::size_t i : order) {
    const engine::PassShare share{.n_other_columns = n_others + n_drafted,
                                  .n_other_tokens = n_tokens,
                                  .n_free_columns = shares[i] + n_left_over,
                                  .n_drafting = will_draft(i) ? n_drafting : n_drafting + 1};
    guarded(*running[i], [&](Sequence& sequence) {
      if (engine::DraftTask* task = sequence.begin_draft(share)) tasks.push_back(task);
      const engine::Generator& generator = sequence.generator();
      const int n_likely = generator.likely_drafts();
      n_drafted += n_likely;
      n_tokens += expected_kept(bids[i], n_likely);
      n_left_over = std::max(share.n_free_columns - generator.most_drafts(), 0);
    });
  }
  if (!tasks.empty()) model_->drafter()->propose(tasks, *model_->costs());
  for (const std::size_t i : order) {
    Slot& slot = *running[i];
    int columns = 0;
    if (!guarded(slot, [&](Sequence& sequence) { columns = sequence.end_draft(); })) continue;
    pass.replies.push_back(&slot);
    pass.columns.push_back(columns);
    pass.n_columns += columns;
    add_part(pass, slot, slot.sequence->verify_part());
  }
}

void Worker::plan_prompts(Pass& pass) {
  std::vector<Slot*> waiting;
  for (Slot& slot : slots_) {
    if (slot.sequence && slot.sequence->phase() == Sequence::Phase::Prompt) {
      waiting.push_back(&slot);
    }
  }
  if (waiting.empty()) return;
  std::sort(waiting.begin(), waiting.end(),
            [](Slot* a, Slot* b) { return a->sequence->id() < b->sequence->id(); });
  std::vector<int> left;
  for (Slot* slot : waiting) left.push_back(slot->sequence->n_prompt_left());
  // A pass whose cost is not known yet counts as very quick, but not as empty.
  const double decode_seconds =
      pass.replies.empty() ? 0.0 : std::max(model_->costs()->verify_seconds(pass.n_columns), 1e-9);
  const std::vector<int> shares = share_prefill(left, pacer_.n_tokens(decode_seconds));
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (shares[i] == 0) continue;
    pass.prompts.push_back(waiting[i]);
    pass.n_prompt.push_back(shares[i]);
    pass.n_prompt_tokens += shares[i];
    add_part(pass, *waiting[i], waiting[i]->sequence->prompt_part(shares[i]));
  }
}

void Worker::step() {
  Pass pass;
  plan_replies(pass);
  plan_prompts(pass);
  if (!pass.parts.empty()) {
    const auto start = Clock::now();
    std::vector<engine::BatchOutput> outputs;
    try {
      outputs = model_->batch().run(pass.parts);
      deliver_replies(pass, outputs, start);
      deliver_prompts(pass, outputs);
    } catch (const std::exception& error) {
      fail_pass(pass, error.what());
    }
  }
  publish();
  end_finished();
}

// The engine itself failed: nobody's state in this pass is to be trusted.
void Worker::fail_pass(Pass& pass, const std::string& error) {
  for (Slot* slot : pass.owners) {
    slot->sequence->stop(FinishReason::Error, error);
    slot->sequence->drop_session();
  }
}

void Worker::deliver_replies(Pass& pass, const std::vector<engine::BatchOutput>& outputs,
                             Clock::time_point start) {
  // All are judged before anything else touches the engine: logits live until its next pass.
  for (std::size_t i = 0; i < pass.replies.size(); ++i) {
    guarded(*pass.replies[i], [&](Sequence& s) { s.judge(outputs[i].logits); });
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  engine::CostTable& costs = *model_->costs();
  const bool is_measure = pass.n_prompt_tokens == 0;
  if (is_measure) {
    costs.observe_verify(pass.n_columns, seconds);
  } else {
    const double decoding = pass.replies.empty() ? 0.0 : costs.verify_seconds(pass.n_columns);
    pacer_.observe(pass.n_prompt_tokens, seconds - decoding);
  }
  std::vector<int> n_tokens(pass.replies.size(), 0);
  const auto now = Clock::now();
  for (std::size_t i = 0; i < pass.replies.size(); ++i) {
    Slot& slot = *pass.replies[i];
    if (slot.sequence->phase() == Sequence::Phase::Ended) continue;
    guarded(slot, [&](Sequence& s) { n_tokens[i] = s.deliver(seconds); });
    const double waited = std::chrono::duration<double>(now - slot.last_token).count();
    slot.last_token = now;
    board_.update([&](StatusBoard::Content& content) {
      const int n = std::max(n_tokens[i], 1);
      record(content.metrics.recent_inter_token_seconds, waited / n, n);
    });
  }
  const int n_all = std::accumulate(n_tokens.begin(), n_tokens.end(), 0);
  for (std::size_t i = 0; i < pass.replies.size(); ++i) {
    if (pass.replies[i]->sequence->phase() == Sequence::Phase::Ended) continue;
    const engine::PassShare share{.n_other_columns = pass.n_columns - pass.columns[i],
                                  .n_other_tokens = static_cast<double>(n_all - n_tokens[i])};
    guarded(*pass.replies[i], [&](Sequence& s) { s.settle(share, is_measure ? seconds : 0.0); });
    log_progress(*pass.replies[i]);
  }
  board_.update([&](StatusBoard::Content& content) {
    ++content.metrics.decode_calls;
    content.metrics.busy_slots_total += pass.owners.size();
    for (std::size_t i = 0; i < pass.replies.size(); ++i) {
      ++content.metrics.depth_rounds[static_cast<std::size_t>(pass.columns[i] - 1)];
    }
  });
}

void Worker::deliver_prompts(Pass& pass, std::vector<engine::BatchOutput>& outputs) {
  const std::size_t first = pass.replies.size();
  for (std::size_t i = 0; i < pass.prompts.size(); ++i) {
    Slot& slot = *pass.prompts[i];
    for (cache::CheckpointPtr& checkpoint : outputs[first + i].checkpoints) {
      store_.add(std::move(checkpoint));
    }
    const bool going = guarded(slot, [&](Sequence& s) { s.prompt_done(pass.n_prompt[i]); });
    if (going) log_progress(slot);
  }
  for (Slot* slot : pass.prompts) {
    Sequence& sequence = *slot->sequence;
    if (sequence.phase() != Sequence::Phase::Prompt || sequence.n_prompt_left() > 0) continue;
    guarded(*slot, [](Sequence& s) { s.first_token(); });
    slot->last_token = Clock::now();
    board_.update([&](StatusBoard::Content& content) {
      record(content.metrics.recent_ttft_seconds, sequence.seconds_since_submit());
    });
  }
}

}  // namespace foretoken::scheduler
