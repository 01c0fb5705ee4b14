// One request on a slot, from its first prompt token to its end: what it puts into each pass, what
// it makes of the pass's result, and what its listener hears of it.
//
// The worker calls the steps in this order; each may throw, and then only this request fails:
//   begin, (prompt_part, prompt_done)*, first_token, (begin_draft, end_draft, verify_part,
//   judge, deliver, settle)*, and end at any point between steps.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/checkpoint.h"
#include "engine/batch.h"
#include "engine/generate.h"
#include "scheduler/fair_queue.h"
#include "scheduler/loaded_model.h"
#include "scheduler/options.h"
#include "scheduler/service.h"

namespace foretoken::scheduler {

class Sequence {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Phase { Prompt, Decode, Ended };

  /// Throws RequestError for sampling or speculation the model cannot do.
  Sequence(Job job, int slot, LoadedModel& model, const SchedulerOptions& options);

  // ---- The prompt. ----

  /// Makes the session the checkpoint's (null: empty) and tells the listener. `plan`: token counts
  /// at which the prompt deserves checkpoints.
  void begin(const cache::CheckpointPtr& from, std::vector<int> plan);
  int n_prompt_left() const;
  /// The next n prompt tokens; valid until the next call.
  engine::BatchPart prompt_part(int n);
  /// They were processed.
  void prompt_done(int n);
  /// Once nothing of the prompt is left: draws the first token, unless none is wanted.
  void first_token();

  // ---- Rounds. ----

  /// Probability that drafts up to a position are kept, by position; empty when it drafts nothing.
  std::vector<double> draft_reach() const;
  /// Begins the drafts of the next round. Returns the drafter's work, null if there is none. The
  /// context must have room.
  engine::DraftTask* begin_draft(const engine::PassShare& share);
  /// Once the drafter is done. Returns the columns the round takes.
  int end_draft();
  engine::BatchPart verify_part() const;
  /// Decides by the pass's logits; nothing is emitted.
  void judge(std::span<const float> logits);
  /// Emits the round's tokens up to the end of the reply, if it comes, and commits them. Returns
  /// how many.
  int deliver(double verify_seconds);
  /// What the round cost, for the next one's drafts. measured_seconds: of the pass, 0 if prompts
  /// were in it.
  void settle(const engine::PassShare& share, double measured_seconds);

  // ---- The end. ----

  /// Ends it for this reason unless it has ended.
  void stop(FinishReason reason, std::string error = {});
  /// Likewise, because of what was asked for: a grammar that turns out too ambiguous, say.
  void refuse(std::string error);
  /// Tells the listener; nothing may be called afterwards but the questions below. Whatever the
  /// listener throws is returned as text.
  std::string finish();
  /// After a failed pass: the session's content is not to be trusted.
  void drop_session();

  Phase phase() const { return phase_; }
  RequestId id() const { return job_.id; }
  const Request& request() const { return job_.request; }
  const Timings& timings() const { return timings_; }
  engine::Session& session() { return session_; }
  const engine::Generator& generator() const { return generator_; }
  int n_cached() const { return timings_.cache_n; }
  double seconds_since_submit() const;
  /// Fills what /slots shows.
  void describe(SlotInfo& info) const;
  /// Whether prompt and reply fill the context. The newest token counts, though no state holds it
  /// yet: that way the two add up to what /props says, as clients who budget expect.
  bool is_over_context() const { return session_.room() <= 1; }

 private:
  void emit(const engine::Judged& judged, std::size_t i, bool from_draft);
  bool ends_with(TokenId token, bool wanted);
  void count_draft();

  Job job_;
  int slot_;
  LoadedModel& model_;
  engine::Session& session_;
  bool debug_;
  engine::Generator generator_;
  Phase phase_ = Phase::Prompt;
  Finish finish_;
  Timings timings_;

  std::vector<int> plan_;
  Clock::time_point began_;
  Clock::time_point first_token_;

  TokenId last_ = 0;           // emitted, not in the session yet
  engine::Draft draft_;        // of the round under way
  engine::Judged judged_;      // likewise
  std::vector<TokenId> run_;   // last_ and the drafts, as the pass runs them
  int n_delivered_ = 0;        // tokens of the round emitted so far
  bool is_undecided_ = false;  // the session awaits a commit
  bool has_new_line_ = false;
  std::vector<TokenId> generated_;  // for debugging only
  std::vector<TokenProbability> top_;
};

}  // namespace foretoken::scheduler
