// Token ids, shared by the tokenizer, the sampler and the engine.
#pragma once

#include <cstdint>

namespace foretoken {

/// Index into a model's vocabulary, 0 <= id < n_vocab.
using TokenId = std::int32_t;

}  // namespace foretoken
