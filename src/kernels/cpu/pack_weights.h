// Packs weight matrices from the blocks of a file into the layouts of weight_layout.h.
#pragma once

#include <cstddef>

#include "base/thread_pool.h"
#include "kernels/cpu/weight_layout.h"
#include "kernels/ops.h"

namespace foretoken::kernels {

/// The layout a file type is packed as. Types without a layout of their own become the narrowest
/// float that holds every value exactly: Q1_0 and Q2_0 are +-d or 0 (F16), NVFP4 has at most six
/// significant bits (BF16), F64 is read as f32.
Layout layout_of(quant::Type type);

/// Sizes of a packed matrix.
struct PackedShape {
  int n_groups;             ///< row groups of 16
  int n_tiles;              ///< per row group
  std::size_t group_bytes;  ///< n_tiles * bytes of a tile
};
PackedShape packed_shape(Layout layout, int rows, int cols);

/// Packs row groups [begin, end) into `out`, the start of the whole packed matrix, whose bytes are
/// zero. Different ranges may be packed at the same time.
void pack_groups(const MatrixSource& source, Layout layout, int begin, int end, std::byte* out);

}  // namespace foretoken::kernels
