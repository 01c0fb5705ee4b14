// Adaptive-p: prefers tokens whose probability lies near a target, and moves the target against
// the running mean of what was drawn, so that the mean comes to lie on it.
//
//   d = |p - t| / 0.3;   p'(token) ~ exp(5 - 10 d^2 / (1 + d));   t = clamp(2 target - mean, 0, 1)
// p is the probability after the chain, the mean one of p over the tokens drawn, older ones counted
// less by `decay` per token.
// Source: ggml-org/llama.cpp#17927 and src/llama-sampler.cpp.
#pragma once

#include <vector>

#include "sampling/distribution.h"
#include "sampling/params.h"

namespace foretoken::sampling {

/// One reply's controller. Copyable.
class AdaptiveP {
 public:
  /// Requires validated parameters with adaptive_target >= 0.
  explicit AdaptiveP(const SamplingParams& params);

  /// The law p' over the candidates of p. Remembers p until the next accept.
  Distribution law(Distribution p);

  /// A token enters the text. It enters the mean if it was drawn from the law remembered; a token
  /// of the prompt does not.
  void accept(TokenId id);

  /// Takes back the last n accepted tokens, n <= 0: none; all of them: the mean is the target.
  void rollback(int n);

  /// The probability aimed at now, 0 to 1.
  double target() const;

 private:
  struct Mean {
    double sum = 0.0;
    double weight = 0.0;
  };

  double target_;
  double decay_;
  std::vector<Mean> means_;  // at the start and after each token
  Distribution pending_;
};

}  // namespace foretoken::sampling
