// Holds a draft against the target's logits: which of its tokens stay, and the token that follows
// them. The target model alone decides; constraints and penalties advance token by token inside the
// draft. Nothing is committed.
//
// Two rules, both exact (docs/mtp.md, "Accept"):
//   Compare    the target draws its own token at each position, and a draft stays if it is that
//              token. Uses random numbers as plain decoding does, one per token of the text in
//              order, so that a seed gives one text whatever was drafted. Greedy decoding is the
//              case without numbers.
//   Rejection  a draft drawn from q stays with probability min(1, p/q), sampling/accept.h. Keeps
//              more drafts at higher temperatures; its text depends on what was drafted.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "engine/draft.h"
#include "engine/synthetic_acceptance.h"
#include "sampling/log_probabilities.h"
#include "sampling/sampler.h"
#include "sampling/token_constraint.h"

namespace foretoken::engine {

enum class DraftRule { Compare, Rejection };

/// What to report of each token's probability.
struct ProbabilityOptions {
  int n_probs = 0;              ///< alternatives; 0: nothing at all
  bool after_sampling = false;  ///< of the law the token was drawn from instead of the model's
};

/// What the target says in.
struct Target {
  sampling::Sampler& sampler;
  sampling::TokenConstraint* constraint = nullptr;  ///< standing after `last`; may be null
  DraftRule rule = DraftRule::Compare;
  ProbabilityOptions probabilities;
  SyntheticAcceptance* synthetic = nullptr;  ///< benchmarks: accept by lot
};

/// A round's tokens in order: n_accepted drafts, then one of the target's own.
struct Judged {
  std::vector<TokenId> tokens;
  int n_accepted = 0;
  /// By token, when probabilities were asked for.
  std::vector<sampling::Logprobs> logprobs;
};

/// Judges a draft by `logits` [1 + draft.size(), n_vocab], row i being what the target says after
/// `last` and i drafts. Histories of sampler and constraint are as before afterwards. Throws what
/// Sampler::distribution and the constraint throw; the reply cannot go on then.
Judged judge(const Draft& draft, std::span<const float> logits, const Target& target);

}  // namespace foretoken::engine
