// The three token penalties.
#include "sampling/penalties.h"

namespace foretoken::sampling {

bool has_token_penalties(const SamplingParams& params) {
  return params.repeat_last_n > 0 &&
         (params.repeat_penalty != 1.0F || params.presence_penalty != 0.0F ||
          params.frequency_penalty != 0.0F);
}

float penalized_logit(float logit, int count, const SamplingParams& params) {
  const float scaled = logit > 0.0F ? logit / params.repeat_penalty : logit * params.repeat_penalty;
  return scaled - (static_cast<float>(count) * params.frequency_penalty + params.presence_penalty);
}

}  // namespace foretoken::sampling
