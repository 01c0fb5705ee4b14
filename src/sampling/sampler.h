// One sequence's sampler: its parameters, its history for the penalties and its random stream. It
// turns logits into the distribution a token is drawn from; the same chain runs on the target's and
// on the draft head's logits, which is what makes rejection sampling accept often.
//
// Chain: logit bias, token penalties, DRY, top_n_sigma, top_k, typical_p, top_p, min_p, XTC,
// temperature (llama.cpp's default order), or the order a request asks for (chain.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/token.h"
#include "sampling/adaptive_p.h"
#include "sampling/chain.h"
#include "sampling/distribution.h"
#include "sampling/dry.h"
#include "sampling/filters.h"
#include "sampling/history.h"
#include "sampling/mirostat.h"
#include "sampling/params.h"
#include "sampling/random_stream.h"
#include "sampling/token_constraint.h"

namespace foretoken::sampling {

/// Copyable: a copy has its own history and continues the same random stream from the same point.
/// Not thread safe; one per sequence.
class Sampler {
 public:
  /// Ids >= n_real_vocab (padding rows of the output matrix) are never sampled. Throws RequestError
  /// on parameters that `validate` refuses and unless 1 <= n_real_vocab <= n_vocab.
  Sampler(const SamplingParams& params, int n_vocab, int n_real_vocab);

  const SamplingParams& params() const { return params_; }

  /// Tokens from here on are never sampled.
  int n_real_vocab() const { return n_real_vocab_; }

  /// The seed in use: the one asked for, or the one drawn from the system for kRandomSeed.
  std::uint32_t seed() const { return seed_; }

  /// True when every distribution is one token (is_greedy, chain.h): no random number is used.
  bool greedy() const { return greedy_; }

  /// True when a law depends on what was drawn before (adapts, chain.h). Then nothing may be
  /// drafted, and every law asked for must be followed by the `accept` of a token drawn from it.
  bool adapts() const { return mirostat_.has_value() || adaptive_.has_value(); }

  /// True when the chain leaves the order of raw logits alone, so that the greedy token is simply
  /// `argmax` (select.h) of the first n_real_vocab logits. False unless greedy().
  bool plain_argmax() const;

  /// The distribution of the next token after the current history, a pure function of the two but
  /// when `adapts()` with XTC, whose coin is then thrown here. logits [n_vocab]; not modified.
  /// NaN counts as minus infinity. A caller's mask (a grammar) sets logits to minus infinity first.
  /// Throws Error when no token is left: all logits are NaN, masked or banned.
  Distribution distribution(std::span<const float> logits);

  /// The same for a draft head that scored only some rows: logits[i] belongs to ids[i]; ids are
  /// distinct and within the vocabulary, ids of padding rows are ignored. Throws Error also when
  /// the two differ in length.
  Distribution distribution(std::span<const float> logits, std::span<const TokenId> ids);

  /// The law over what a constraint allows: its mask first, then the chain. Where the chain looks
  /// only at the best few candidates, those are asked one by one and the whole vocabulary is masked
  /// only when that does not settle it; the result is the same, bit for bit. Throws as above.
  Distribution distribution(std::span<const float> logits, TokenConstraint& constraint);

  /// For a draft head under a constraint: the law over the rows it scored, less what the constraint
  /// forbids. Never masks; empty when none of the best candidates is allowed. Any such law is as
  /// good as another for the text, because drafts are judged by the target.
  Distribution draft_distribution(std::span<const float> logits, std::span<const TokenId> ids,
                                  TokenConstraint& constraint);

  /// Draws from a distribution with a number of the sequence's random stream (none when it has only
  /// one candidate).
  TokenId draw(const Distribution& distribution);

  /// Next number of the same stream, uniform on [0, 1).
  double uniform() { return random_.uniform(); }

  /// A token enters the history; prompt tokens too.
  void accept(TokenId id);

  /// Forgets the last n tokens of the history (all of them when n is larger) and what was learnt
  /// from them. The random stream is not rewound.
  void rollback(int n);

  int history_size() const { return history_.size(); }

 private:
  template <class FindLogit>
  void adjust(FindLogit find) const;
  bool has_on_logits(ChainStep step) const;
  bool has_on_list(ChainStep step) const;
  bool changes_logits() const;
  std::vector<TokenId> adjusted_ids() const;
  void adjust_rows(std::span<const TokenId> ids);
  std::span<const float> adjusted(std::span<const float> logits);
  std::span<const float> adjusted(std::span<const float> logits, std::span<const TokenId> ids);
  int n_listed(int n_logits) const;
  bool lists_by_share(int n_logits) const;
  CandidateList listed(std::span<const float> logits, std::span<const TokenId> ids) const;
  std::optional<CandidateList> listed_if_allowed(std::span<const float> logits,
                                                 std::span<const TokenId> ids,
                                                 TokenConstraint& constraint) const;
  Distribution shaped(CandidateList list);
  Distribution after_steps(CandidateList list, std::span<const ChainStep> steps);
  Distribution after_last(CandidateList list);
  float temperature_for(CandidateList& list) const;
  void apply_step(CandidateList& list, ChainStep step) const;
  void adjust_list(CandidateList& list, ChainStep step) const;

  SamplingParams params_;
  Chain chain_;
  bool greedy_;
  int n_vocab_;
  int n_real_vocab_;
  std::uint32_t seed_;
  RandomStream random_;
  History history_;
  Dry dry_;
  std::optional<Mirostat> mirostat_;
  std::optional<AdaptiveP> adaptive_;
  std::vector<float> scratch_;          // logits after bias and penalties
  std::vector<float> masked_;           // logits after a constraint's mask
  std::vector<std::uint8_t> adjusted_;  // [n_vocab], 1 while adjust_rows looks for a token's row
};

}  // namespace foretoken::sampling
