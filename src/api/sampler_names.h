// The `samplers` field: which transforms of the chain a request wants, and in what order. A
// transform that is not named is switched off.
// Source of names and letters: llama.cpp, common/sampling.cpp.
#pragma once

#include <string>
#include <vector>

#include "api/context.h"
#include "sampling/params.h"

namespace foretoken::api {

/// The chain when nothing is said, in the order in which it is applied. "adaptive_p", which is not
/// in it, may be named too; it always comes last.
const std::vector<std::string>& default_samplers();

/// Names from an array of names (also "top-k", "topk", "temp", "nucleus", ...) or a string of
/// letters ("edskypmxta"). Unknown ones are left out with a remark. Anything else than an array or
/// string: the default, with a remark.
std::vector<std::string> read_samplers(const Context& context, const Json& value);

/// Switches off in `params` whatever `samplers` does not name, and sets the order unless it is the
/// default one. Mirostat, which takes the place of the chain, keeps its temperature.
void apply_samplers(const std::vector<std::string>& samplers, sampling::SamplingParams& params);

}  // namespace foretoken::api
