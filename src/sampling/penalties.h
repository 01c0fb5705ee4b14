// Penalties on single tokens that occurred lately: repeat, frequency and presence.
// Source of formulas: Keskar et al., "CTRL" (2019) for the repeat penalty, with negative logits
// multiplied instead of divided as in llama.cpp (dividing would make them likelier); the other two
// as in the OpenAI API.
#pragma once

#include "sampling/params.h"

namespace foretoken::sampling {

/// True when some field of the three token penalties departs from its "off" value.
bool has_token_penalties(const SamplingParams& params);

/// The logit of a token that occurs `count` >= 1 times in the window:
///   (logit > 0 ? logit / repeat : logit * repeat) - count * frequency - presence
float penalized_logit(float logit, int count, const SamplingParams& params);

}  // namespace foretoken::sampling
