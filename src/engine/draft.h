// A block of guesses about the next tokens, and the interface of whatever makes them. The MTP head
// is one maker; a block drafter that guesses all positions at once, or a lookup of n-grams in the
// text so far, fits the same interface. Verification treats all alike, so none can change the text.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/token.h"
#include "engine/draft_policy.h"
#include "engine/session.h"
#include "sampling/sampler.h"

namespace foretoken::engine {

/// Guesses for the positions after `last`, in order.
struct Draft {
  std::vector<TokenId> tokens;
  /// The law each token was drawn from; a point mass where it was chosen without chance.
  std::vector<sampling::Distribution> laws;
  /// The drafter's probability of its favourite, per position tried (one more than tokens when the
  /// last one was dropped).
  std::vector<float> confidence;
  int n_steps = 0;       ///< passes of the drafter
  double seconds = 0.0;  ///< time it took

  void clear() { *this = {}; }
};

/// Decides while drafting what becomes of the newest token, given the drafter's probability of its
/// favourite at every position so far (DraftPolicy::decide).
using DraftGate = std::function<DraftDecision(std::span<const float> confidence)>;

class Drafter {
 public:
  virtual ~Drafter() = default;
  /// A token entered the text (prompt or reply).
  virtual void observe(TokenId token) = 0;
  /// Proposes up to `n_max` tokens to follow `last`, which is sampled but not yet processed by the
  /// session. May return none. `sampler` is the sequence's own: it shapes the laws and its random
  /// stream draws from them (a copy would repeat the numbers that acceptance uses, and the text's
  /// law would be lost); its history is as before afterwards.
  virtual Draft propose(Session& session, TokenId last, int n_max, sampling::Sampler& sampler,
                        const DraftGate& gate) = 0;
};

}  // namespace foretoken::engine
