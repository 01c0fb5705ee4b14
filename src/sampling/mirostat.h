// Mirostat: keeps the surprise of the text near a target. The state is mu, the greatest surprise
// that is let through (in bits); every token moves it by how much more or less surprising than the
// target it was.
//
// Version 1 estimates from the most probable tokens, taken as a power law, how many may stay for a
// surprise of mu; version 2 drops every token whose own surprise is above mu.
// Source: Basu et al., "Mirostat: A Neural Text Decoding Algorithm that Directly Controls
// Perplexity" (2021); constants as in llama.cpp, src/llama-sampler.cpp.
#pragma once

#include <vector>

#include "sampling/distribution.h"
#include "sampling/filters.h"
#include "sampling/params.h"

namespace foretoken::sampling {

/// One reply's controller. Copyable.
class Mirostat {
 public:
  /// Requires validated parameters with mirostat 1 or 2; n_vocab >= 2 counts for version 1.
  Mirostat(const SamplingParams& params, int n_vocab);

  /// The law of the next token: softmax(logit / temperature) over the tokens mu lets through, at
  /// least one. Remembers it until the next accept. Requires a candidate and temperature > 0.
  Distribution law(CandidateList list, float temperature);

  /// A token enters the text. Moves mu if the token was drawn from the law remembered:
  ///   mu -= eta * (-log2 p(token) - tau)
  /// A token of the prompt leaves mu as it is.
  void accept(TokenId id);

  /// Takes back the last n accepted tokens, n <= 0: none; all of them: mu = 2 tau.
  void rollback(int n);

  double mu() const { return mu_.back(); }

 private:
  int version_;
  double tau_;
  double eta_;
  double n_vocab_;
  std::vector<double> mu_;  // at the start and after each token
  Distribution pending_;
};

}  // namespace foretoken::sampling
