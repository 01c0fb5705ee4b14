// Cutting one model file into several, for hosts that limit the size of a file.
// Source: docs/gguf.md, "Split models"; gguf-py/gguf/gguf_writer.py of llama.cpp de3ff815.
#pragma once

#include <cstddef>
#include <vector>

#include "convert/write_model.h"

namespace foretoken::convert {

struct SplitLimits {
  std::size_t max_tensors = 0;  ///< a file; 0: no limit
  std::size_t max_bytes = 0;    ///< of tensors a file; 0: no limit. A larger tensor stands alone
  bool keys_alone = false;      ///< the first file holds no tensors
  bool any() const { return max_tensors > 0 || max_bytes > 0; }
};

/// The files that `target` becomes: itself when it is within the limits, otherwise
/// NAME-00001-of-0000N.gguf and so on, all keys in the first. Throws RequestError when it would be
/// more files than their names can count.
std::vector<FileTarget> split_target(FileTarget target, const SplitLimits& limits);

}  // namespace foretoken::convert
