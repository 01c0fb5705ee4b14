// How many hidden rows a session keeps for the MTP head, and how far the head may fall behind.
#pragma once

#include "kernels/delta_net_state.h"

namespace foretoken::engine {

/// Rows kept, by position modulo this. Catching up in batches reads the head's weights once for
/// many tokens.
inline constexpr int kHiddenRing = 64;
/// Most tokens whose pairs the head may lack before a run adds up to kMaxPending more.
inline constexpr int kMostLag = kHiddenRing - kernels::kMaxPending - 1;

}  // namespace foretoken::engine
