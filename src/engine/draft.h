// A block of guesses about the next tokens, and the interface of whatever makes them. The MTP head
// is one maker; a block drafter that guesses all positions at once, or a lookup of n-grams in the
// text so far, fits the same interface. Verification treats all alike, so none can change the text.
#pragma once

#include <exception>
#include <functional>
#include <span>
#include <vector>

#include "base/token.h"
#include "engine/draft_policy.h"
#include "engine/session.h"
#include "sampling/sampler.h"
#include "sampling/token_constraint.h"

namespace foretoken::engine {

/// Guesses for the positions after `last`, in order.
struct Draft {
  std::vector<TokenId> tokens;
  /// The law each token was drawn from; a point mass where it was chosen without chance.
  std::vector<sampling::Distribution> laws;
  /// The first n_given tokens come from a constraint that leaves no choice, not from the drafter.
  int n_given = 0;
  /// The drafter's probability of its favourite, per position it tried itself (one more than its
  /// tokens when the last one was dropped).
  std::vector<float> confidence;
  int n_steps = 0;       ///< passes of the drafter
  double seconds = 0.0;  ///< time it took; of steps with others an even share

  int size() const { return static_cast<int>(tokens.size()); }
  /// Tokens of the drafter's own.
  int n_own() const { return size() - n_given; }
  void add(TokenId token, sampling::Distribution law) {
    tokens.push_back(token);
    laws.push_back(std::move(law));
  }
};

/// Decides while drafting what becomes of the newest token, given the drafter's probability of its
/// favourite at every position of its own so far and how many sequences would go on drafting
/// together (DraftPolicy::decide).
using DraftGate = std::function<DraftDecision(std::span<const float> confidence, int n_together)>;

/// What a drafter is asked for.
struct DraftRequest {
  TokenId last = 0;                ///< sampled but not yet processed by the session
  std::span<const TokenId> given;  ///< guesses made already; the drafter's own follow them
  int n_max = 0;                   ///< most tokens of its own
  DraftChoice choice = DraftChoice::Favourite;
  sampling::TokenConstraint* constraint = nullptr;  ///< standing after `last`; may be null
};

/// A draft to be made for one sequence, and what came of it. `sampler` is the sequence's own: it
/// shapes the laws and, for DraftChoice::Drawn, its random stream draws from them (a copy would
/// repeat the numbers that acceptance uses, and the text's law would be lost).
struct DraftTask {
  Session* session = nullptr;
  sampling::Sampler* sampler = nullptr;
  DraftRequest request;
  DraftGate gate;
  Draft draft;
  std::exception_ptr failure;  ///< what its constraint, sampler or gate threw; the draft is void
};

class Drafter {
 public:
  virtual ~Drafter() = default;
  /// A token entered a text (prompt or reply).
  virtual void observe(TokenId token) = 0;
  /// For each task, the given tokens and up to n_max behind them; none of the drafter's own where
  /// the constraint refuses its favourites. All sessions share a Batch, each in one task only. The
  /// draft of a task does not depend on the others, except through its gate. The histories of
  /// samplers and constraints are as before afterwards, unless a task failed. Times of the steps go
  /// into `costs`.
  virtual void propose(std::span<DraftTask* const> tasks, CostTable& costs) = 0;
};

/// The given tokens alone, as a draft.
Draft given_draft(std::span<const TokenId> given);

}  // namespace foretoken::engine
