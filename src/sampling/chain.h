// Which transforms of the logits a request's parameters switch on, and in what order they come:
// the sampler's programme, read off the parameters once.
// Source of the default order: llama.cpp, common/common.h.
#pragma once

#include <array>
#include <vector>

#include "sampling/params.h"

namespace foretoken::sampling {

/// The order when a request names none.
inline constexpr std::array kDefaultOrder = {
    ChainStep::Penalties, ChainStep::Dry,      ChainStep::TopNSigma,
    ChainStep::TopK,      ChainStep::TypicalP, ChainStep::TopP,
    ChainStep::MinP,      ChainStep::Xtc,      ChainStep::Temperature};

/// Whether the parameters name `step` and give it something to do. Mirostat takes the place of
/// every step but the temperature.
bool applies(const SamplingParams& params, ChainStep step);

/// True when every law is one token: temperature 0 or below, and neither a range around it nor XTC
/// (which may remove the best token) to change that.
bool is_greedy(const SamplingParams& params);

/// True when a law depends on what was drawn before it, beyond the history of tokens: mirostat and
/// adaptive-p, unless greedy.
bool adapts(const SamplingParams& params);

/// The steps that apply, in two parts.
struct Chain {
  /// Penalties, DRY and top_n_sigma at the head of the order, in this order: they change single
  /// logits and are applied where these stand, before candidates are listed.
  std::vector<ChainStep> on_logits;
  /// The rest, applied to a list of candidates.
  std::vector<ChainStep> on_list;
};

/// Requires validated parameters.
Chain make_chain(const SamplingParams& params);

}  // namespace foretoken::sampling
