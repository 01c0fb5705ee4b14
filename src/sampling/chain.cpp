// See chain.h.
#include "sampling/chain.h"

#include <algorithm>
#include <span>
#include <utility>

#include "sampling/penalties.h"

namespace foretoken::sampling {
namespace {

bool has_effect(const SamplingParams& p, ChainStep step) {
  switch (step) {
    case ChainStep::Penalties:
      return has_token_penalties(p);
    case ChainStep::Dry:
      return p.dry_multiplier > 0.0F && p.dry_penalty_last_n > 0;
    case ChainStep::TopNSigma:
      return p.top_n_sigma > 0.0F;
    case ChainStep::TopK:
      return p.top_k > 0;
    case ChainStep::TypicalP:
      return p.typical_p < 1.0F;
    case ChainStep::TopP:
      return p.top_p < 1.0F;
    case ChainStep::MinP:
      return p.min_p > 0.0F;
    case ChainStep::Xtc:
      return p.xtc_probability > 0.0F && p.xtc_threshold <= 0.5F;
    case ChainStep::Temperature:
      return true;
  }
  return false;
}

std::span<const ChainStep> order_of(const SamplingParams& params) {
  if (params.order.empty()) return kDefaultOrder;
  return params.order;
}

}  // namespace

bool applies(const SamplingParams& params, ChainStep step) {
  if (params.mirostat != 0) return step == ChainStep::Temperature;
  const std::span<const ChainStep> order = order_of(params);
  return std::find(order.begin(), order.end(), step) != order.end() && has_effect(params, step);
}

bool is_greedy(const SamplingParams& params) {
  if (!applies(params, ChainStep::Temperature) || applies(params, ChainStep::Xtc)) return false;
  const float range = params.mirostat != 0 ? 0.0F : std::max(params.dynatemp_range, 0.0F);
  return params.temperature + range <= 0.0F;
}

bool adapts(const SamplingParams& params) {
  return !is_greedy(params) && (params.mirostat != 0 || params.adaptive_target >= 0.0F);
}

Chain make_chain(const SamplingParams& params) {
  if (params.mirostat != 0) return {{}, {ChainStep::Temperature}};
  Chain chain;
  // The enumerators stand in the default order, so a later one is a larger one.
  const auto may_lead = [&](ChainStep step) {
    return step <= ChainStep::TopNSigma && chain.on_list.empty() &&
           (chain.on_logits.empty() || chain.on_logits.back() < step);
  };
  for (const ChainStep step : order_of(params)) {
    if (!applies(params, step)) continue;
    (may_lead(step) ? chain.on_logits : chain.on_list).push_back(step);
  }
  // top_k keeps the same tokens before and after the temperature, and before it none need listing.
  std::vector<ChainStep>& list = chain.on_list;
  if (list.size() > 1 && list[0] == ChainStep::Temperature && list[1] == ChainStep::TopK) {
    std::swap(list[0], list[1]);
  }
  return chain;
}

}  // namespace foretoken::sampling
