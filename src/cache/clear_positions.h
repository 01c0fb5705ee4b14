// Pages come from a pool and are not cleaned when they go from one sequence to another, so what
// lies beyond a sequence's last position may be somebody else's. Nothing computes with it, but a
// file would carry it out of the process. Layout: kernels/kv_layout.h.
#pragma once

#include <cstddef>

#include "cache/kv_cache.h"

namespace foretoken::cache {

/// Zeroes what a page holds of its positions n_valid and above (0 <= n_valid <= kKvPagePositions),
/// in all layers and heads; the others keep their bits. `page` has shape.page_bytes() bytes.
void clear_positions_from(std::byte* page, const KvPageShape& shape, int n_valid);

}  // namespace foretoken::cache
