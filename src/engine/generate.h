// The loop that turns a processed prompt into text: draft, verify, accept, commit, again.
//
// The target model alone decides every token. Drafts only decide how many positions one pass of the
// target looks at, so greedy text is the same bit for bit with and without them, and so is sampled
// text from a named seed; other sampled text has the same law. How deep to draft, or whether at
// all, follows measured costs (draft_policy.h).
//
// `generate` runs the loop for one session. Whoever has several sessions in one pass takes the
// steps one by one: begin drafts, let the drafter make them all, end them, run the pass, judge,
// emit, settle (scheduler/worker.h).
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/draft.h"
#include "engine/draft_policy.h"
#include "engine/session.h"
#include "engine/synthetic_acceptance.h"
#include "engine/verify.h"
#include "sampling/sampler.h"

namespace foretoken::engine {

/// Whether and how far to draft.
struct SpeculationOptions {
  enum class Type {
    None,      ///< token by token
    Auto,      ///< the MTP head where the file has one
    DraftMtp,  ///< the MTP head; RequestError where the file has none
  };
  Type type = Type::Auto;
  DraftLimits limits;            ///< n_max, n_min, p_min; see draft_policy.h
  bool adaptive = true;          ///< false: always n_max, unless p_min stops earlier
  int draft_vocabulary = 49152;  ///< rows of the draft head, 0 for all of them
  /// How drafts of sampled text are judged; empty: Compare when the sampling parameters name a
  /// seed, so that the seed gives the same text whatever was drafted; Rejection otherwise.
  std::optional<DraftRule> rule;
  /// For benchmarks only: accept drafts by chance instead of by the target. The text is then wrong.
  std::optional<SyntheticAcceptance> synthetic;
};

/// What a reply cost and how its drafts fared.
struct GenerateStats {
  int n_tokens = 0;                              ///< tokens of the reply
  int rounds = 0;                                ///< passes of the target after the first token
  int drafted = 0;                               ///< drafts that were verified
  int accepted = 0;                              ///< drafts that were kept
  std::array<int, kMaxDraftChain> drafted_at{};  ///< by position in the draft
  std::array<int, kMaxDraftChain> accepted_at{};
  double seconds = 0.0;  ///< wall time of the loop
  double draft_seconds = 0.0;
  double verify_seconds = 0.0;
  bool synthetic = false;  ///< acceptance was simulated

  /// Tokens per pass of the target, the target's own included; 0 without a round.
  double mean_accepted_length() const {
    return rounds == 0 ? 0.0 : 1.0 + static_cast<double>(accepted) / rounds;
  }
  void add(const GenerateStats& other);
};

/// Why a reply ended.
enum class StopReason { EndOfText, Length, ContextFull, Cancelled };

struct GenerateOptions {
  int max_tokens = -1;      ///< negative: until the model stops or the context is full
  bool ignore_end = false;  ///< go on past end-of-text tokens
};

struct GenerateResult {
  std::vector<TokenId> tokens;  ///< the end token included, if there was one
  StopReason reason = StopReason::Length;
  GenerateStats stats;
};

/// What a generator shares with others, or has for one reply only.
struct GeneratorParts {
  std::shared_ptr<CostTable> costs;  ///< empty: one of its own
  std::shared_ptr<Drafter> drafter;  ///< of this model, shared with others; empty: one is made
  const DraftExperience* experience = nullptr;      ///< of an earlier reply; null: none
  sampling::TokenConstraint* constraint = nullptr;  ///< of the reply; must outlive the generator
  ProbabilityOptions probabilities;
};

/// Generates for one session. Keeps the sampler's history, the drafter and what was learnt about
/// its acceptance and costs across replies.
class Generator {
 public:
  /// Called for every token, in order; false cancels (that token is the last).
  using OnToken = std::function<bool(TokenId)>;

  /// Throws RequestError for parameters out of range or a drafter the model does not have. Never
  /// drafts where the law adapts to what was drawn (sampling::adapts).
  Generator(Session& session, const sampling::SamplingParams& sampling,
            const SpeculationOptions& speculation, const GeneratorParts& parts = {});

  /// Makes the session's tokens the sampler's history and the drafter's text. Call once a prompt is
  /// in the session and before `generate` or the first step.
  void observe_prompt();

  /// Continues the session's text. The session then holds all tokens of the reply but the last.
  /// Requires session.n_past() > 0.
  GenerateResult generate(const GenerateOptions& options, const OnToken& on_token = {});

  // ---- The steps of a round, for a session that shares its passes with others. ----

  /// Begins the guesses for the tokens after `last`, which was emitted but is not in the session:
  /// at most n_most. Returns what the drafter has to do (Drafter::propose) before `end_draft`; null
  /// when it has nothing to do.
  DraftTask* begin_draft(TokenId last, int n_most, const PassShare& share = {});
  /// Between the two: drafts that may be made at most, and those that are likely.
  int most_drafts() const;
  int likely_drafts() const;
  /// The round's draft, possibly empty. Throws what made the task fail.
  Draft end_draft();

  /// What the target says to a draft; `logits` as engine/verify.h has them. With an empty draft
  /// and the logits after a prompt: the reply's first token.
  Judged judge(const Draft& draft, std::span<const float> logits);

  /// A token of the round becomes part of the text.
  void emit(TokenId token);

  /// Ends a round: what it cost and how the draft fared, for the next one. `verify_seconds`: the
  /// pass, for a pass that was a measure of its width, else 0; whoever ran the pass has entered it
  /// into the cost table.
  void settle(const Draft& draft, const Judged& judged, const PassShare& share,
              double verify_seconds);

  bool drafts() const { return drafter_ != nullptr; }
  /// Why a session that could draft does not at present; empty when it does or never could.
  std::string_view parked_reason() const;
  /// The policy of the drafter; meaningful when drafts().
  const DraftPolicy& policy() const { return policy_; }
  const sampling::Sampler& sampler() const { return sampler_; }

 private:
  std::vector<TokenId> given_tokens(int n_most);
  Draft propose(TokenId last, int n_most);
  Judged next_round(TokenId last, int n_most, Draft& draft, GenerateStats& stats);

  Session& session_;
  SpeculationOptions options_;
  bool is_parked_by_law_;
  sampling::Sampler sampler_;
  std::shared_ptr<Drafter> drafter_;
  std::shared_ptr<CostTable> costs_;
  DraftPolicy policy_;
  DraftRule rule_;
  sampling::TokenConstraint* constraint_;
  ProbabilityOptions probabilities_;
  std::vector<TokenId> given_;  // of the round under way
  DraftTask task_;              // likewise
  double given_kept_ = 1.0;     // share of given tokens the target kept, decayed
  int n_observed_ = 0;
};

}  // namespace foretoken::engine
