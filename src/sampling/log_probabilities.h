// Logarithms of probabilities as clients ask for them: of the token that was taken and of the most
// probable ones, either the model's own (softmax of the logits, before any transform) or those of
// the law the token was drawn from. Accepted drafts get the same true values as any other token.
#pragma once

#include <span>
#include <vector>

#include "base/token.h"
#include "sampling/distribution.h"

namespace foretoken::sampling {

/// Natural logarithm of a token's probability; the lowest finite float for probability 0, because
/// minus infinity cannot be written in JSON.
struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0.0F;
};

struct Logprobs {
  float chosen = 0.0F;            ///< of the token asked about
  std::vector<TokenLogprob> top;  ///< the n_top most probable, ties by id; fewer if there are fewer
};

/// Under softmax(logits): logits[i] belongs to token i. NaN counts as probability 0. Sums in
/// double.
Logprobs model_logprobs(std::span<const float> logits, TokenId chosen, int n_top);

/// Under a law after the chain; tokens that are not candidates have probability 0 and are not
/// listed.
Logprobs law_logprobs(const Distribution& law, TokenId chosen, int n_top);

}  // namespace foretoken::sampling
