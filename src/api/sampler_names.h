// The `samplers` field: which transforms of the chain a request wants. The chain's order is fixed;
// a transform that is not named is switched off.
// Source of names and letters: llama.cpp, common/sampling.cpp.
#pragma once

#include <string>
#include <vector>

#include "api/context.h"
#include "sampling/params.h"

namespace foretoken::api {

/// All of them, in the order in which they are applied.
const std::vector<std::string>& default_samplers();

/// Names from an array of names (also "top-k", "topk", "temp", "nucleus", ...) or a string of
/// letters ("edskypmxt"). Unknown ones are left out with a remark, and so is an order other than
/// the chain's. Anything else than an array or string: the default, with a remark.
std::vector<std::string> read_samplers(const Context& context, const Json& value);

/// Switches off in `params` whatever `samplers` does not name.
void keep_only(const std::vector<std::string>& samplers, sampling::SamplingParams& params);

}  // namespace foretoken::api
