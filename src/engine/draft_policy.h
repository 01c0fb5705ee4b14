// How many tokens to draft, decided token by token from measured acceptance and measured costs.
//
// The idea: a round with n drafts costs V(n+1) + n d seconds (V: target pass by width, d: draft
// step) and yields 1 + pi_1 + ... + pi_n tokens, pi_i being the probability that drafts 1..i are
// all kept. With R the best long-run tokens per second reachable, another draft pays when what it
// is expected to add exceeds R times what it costs: pi_(i+1) > R (d + V(i+2) - V(i+1)), looking
// ahead past steps in V. A draft already made is worth verifying when pi_i exceeds R times the
// extra column alone.
//
// Never slower: an account, in units of plain steps, gains every token a drafting round emits,
// loses the time it took, and is topped up by kProbeShare per plain step; it holds kCredit at most,
// and without credit nothing is drafted. So, with C the costliest round,
//   time <= (1 + kProbeShare) * tokens * V(1) + (kCredit + C),
// whatever the estimates say, as far as V(1) is known (it is measured again now and then). The
// account starts with kFirstCredit only: a head that is good earns the rest within a few rounds,
// and one that is useless loses no more.
//
// Sequences that share a pass: with c columns and T tokens of others in it, this sequence's plain
// step is V(c+1), and an extra second costs the others' tokens too, so that R is the rate of all
// of them together. A draft step of several
// sequences counts for each with an even share.
// Source: docs/mtp.md, "How deep to draft"; SpecDec++ (Huang et al., 2024) for the threshold form.
#pragma once

#include <memory>
#include <span>

#include "engine/acceptance_estimator.h"
#include "engine/cost_table.h"

namespace foretoken::engine {

/// Bounds given by the user (--spec-draft-n-max, --spec-draft-n-min, --spec-draft-p-min).
struct DraftLimits {
  int n_max = 3;       ///< most drafts of a round, 0 (never draft) .. kMaxDraftChain
  int n_min = 0;       ///< shorter drafts are dropped (DraftChoice::Drawn: not planned)
  float p_min = 0.0F;  ///< a token the drafter gives less than this ends the draft, not included
};

/// Throws RequestError naming the flag, the value and the range.
void validate(const DraftLimits& limits);

/// How a round's drafts are chosen.
///
/// A draft drawn by chance must be shown to the target once it is drawn. Whatever is known after
/// the draw (say, how sure the drafter is of the next token) depends on which token was drawn;
/// dropping it on that ground would favour some tokens over others, and the text's law would no
/// longer be the target's. A favourite is the same whenever the text is the same, so it may be
/// dropped at any time.
enum class DraftChoice {
  Favourite,  ///< the drafter's most probable token
  Drawn,      ///< drawn from the drafter's law
};

/// What to do with the newest position, before its token is drawn.
enum class DraftDecision {
  Drop,         ///< end the draft without it
  KeepAndStop,  ///< it is the draft's last
  KeepAndContinue,
};

/// What other sequences have in the same target pass.
struct PassShare {
  int n_other_columns = 0;
  double n_other_tokens = 0.0;          ///< tokens they are expected to gain from it
  int n_free_columns = kMaxDraftChain;  ///< columns this sequence's own drafts may take
  int n_drafting = 1;  ///< sequences expected to draft in step with this one, itself included
};

/// What drafting one text taught for the next of the same model. Without it every short reply would
/// pay for finding out again that a head is useless, or how long a plain step takes.
struct DraftExperience {
  AcceptanceEstimator acceptance;
  double balance = 0.0;  ///< of the account, in plain steps
  int drafted_rounds = 0;
  int plain_interval = 0;
};

class DraftPolicy {
 public:
  /// Share of plain decoding time that may be lost on finding out whether drafting pays.
  static constexpr double kProbeShare = 0.01;
  /// Plain steps that may be lost in a row before drafting pauses.
  static constexpr double kCredit = 8.0;
  /// The same at first, before anything is known of the head.
  static constexpr double kFirstCredit = 1.5;
  /// The same at least, for a text that begins with the experience of another: a few probes.
  static constexpr double kNextCredit = 0.3;
  /// Until the cost of draft steps is known, no more than this many plain steps are charged for
  /// those of a round: what the first of them take says more about cold memory than about drafting.
  static constexpr double kFirstLoss = 0.5;

  /// Not adaptive: always n_max drafts unless p_min ends them; nothing is learnt. `costs`: the
  /// table to read and to fill; empty: one of its own. Throws RequestError on limits out of range.
  explicit DraftPolicy(const DraftLimits& limits, bool adaptive = true,
                       std::shared_ptr<CostTable> costs = nullptr);

  /// Begins with what another text taught; before the first round.
  void learn(const DraftExperience& experience);
  DraftExperience experience() const;

  /// Begins a round. Most drafts to make, 0: decode one token plainly (not worth it, or the cost of
  /// a plain step has to be measured).
  int begin_round(DraftChoice choice, const PassShare& share = {});

  /// Probability that drafts 0 .. position are all kept, before any is made; 0 when this sequence
  /// would not draft that far. For sharing columns between sequences.
  double expected_reach(int position) const;

  /// To be asked at each position the drafter scored, before a token is drawn there; `confidence`
  /// holds the drafter's probability of its favourite at every position of this round, the newest
  /// last; at least one. `n_together`: sequences that would make the next draft step, this one
  /// included.
  DraftDecision decide(std::span<const float> confidence, int n_together = 1) const;

  /// Drafts this round is likely to make, before any is made.
  int n_planned() const;

  /// How many of the round's drafts, of which `confidence` has those that were kept, to show the
  /// target. Favourites: all that pay for their column, none if fewer than n_min. Drawn: all.
  int n_to_verify(std::span<const float> confidence) const;

  /// After each round of a sequence that is alone in its passes: the target pass took
  /// verify_seconds for `width` tokens (1 + drafts verified), the draft steps draft_seconds in all.
  /// Before `observe`.
  void observe_costs(int width, double verify_seconds, int n_draft_steps, double draft_seconds);

  /// The same when others share the pass and the draft steps: whoever runs them enters their times
  /// into the table. `share` as it came to be. verify_seconds 0: the pass was no measure (prompts
  /// were in it), and counts as what the table expects. draft_seconds: this sequence's part.
  void charge(const PassShare& share, int n_verified, double verify_seconds, double draft_seconds);

  /// After each round, plain ones included: the confidence of every token drafted (a dropped last
  /// one included), how many were verified and how many kept. Ends the round.
  void observe(std::span<const float> confidence, int n_verified, int n_accepted);

  /// True while drafting is paused because it did not pay.
  bool parked() const { return adaptive_ && parked_; }

  /// Expected tokens per second over plain decoding, by the current estimates; 1 when parked or
  /// before anything was measured.
  double expected_speedup() const;

  const CostTable& costs() const { return *costs_; }
  const AcceptanceEstimator& acceptance() const { return acceptance_; }

 private:
  struct Stop {
    int n = 0;           // drafts to verify
    double value = 0.0;  // expected tokens less R times the seconds above a plain step
  };
  int plain_width() const { return share_.n_other_columns + 1; }
  double plain_seconds() const { return costs_->verify_seconds(plain_width()); }
  double best_rate() const;
  Stop best_stop(std::span<const float> confidence) const;
  Stop best_beyond(std::span<const float> confidence, int n_together) const;
  double draft_seconds() const { return costs_->draft_seconds(share_.n_drafting); }
  double extra_seconds(int n_drafts) const;
  int probe_length() const;
  double probe_cost() const;
  bool needs_plain_round() const;
  std::span<const float> above_p_min(std::span<const float> confidence) const;

  DraftLimits limits_;
  bool adaptive_;
  DraftChoice choice_ = DraftChoice::Favourite;
  std::shared_ptr<CostTable> costs_;
  AcceptanceEstimator acceptance_;
  PassShare share_;                // of the round in progress
  double balance_ = kFirstCredit;  // the account, in plain steps
  double round_loss_ = 0.0;        // tokens lost to the extra time of the round in progress
  double rate_ = 0.0;              // R for the round in progress, tokens per second
  int limit_ = 0;                  // what begin_round returned
  int forced_ = 0;                 // drafts this round verifies in any case (a probe)
  int drafted_rounds_ = 0;         // since the last plain one
  int plain_interval_ = 8;         // drafted rounds until the next plain one
  bool parked_ = false;
  bool knew_draft_ = false;  // the cost of draft steps, when the round began
};

}  // namespace foretoken::engine
