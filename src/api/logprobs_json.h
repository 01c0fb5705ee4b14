// Log-probabilities on the wire.
// Source: docs/http-api.md, "Log-probabilities".
#pragma once

#include <span>
#include <vector>

#include "api/chat_run.h"
#include "api/context.h"
#include "scheduler/request.h"

namespace foretoken::api {

/// The item of one token: its text and bytes, and the first `n_top` alternatives.
TokenLogprob make_logprob(const tokenizer::Tokenizer& tokenizer, const scheduler::TokenEvent& event,
                          int n_top);

/// {"id", "token", "bytes", "logprob", "top_logprobs"}; after the chain "prob" and "top_probs"
/// instead, and alternatives of probability 0 are left out. Always finite: probability 0 has the
/// lowest float as its logarithm.
Json logprob_json(const TokenLogprob& item, bool post_sampling);
Json logprobs_json(std::span<const TokenLogprob> items, bool post_sampling);

}  // namespace foretoken::api
