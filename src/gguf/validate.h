// Looks through the tensors' numbers, which opening a file does not.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "gguf/file.h"

namespace foretoken::gguf {

/// Where a tensor holds a scale, minimum or element that is infinite or NaN.
struct InvalidScale {
  std::size_t row = 0;          ///< of the tensor seen as [n_rows, n_cols]
  std::size_t block = 0;        ///< within the row
  std::size_t file_offset = 0;  ///< of the block, from the start of its file
};

/// First bad block of a tensor; nothing when all are fine. Reads the whole tensor.
[[nodiscard]] std::optional<InvalidScale> find_invalid_scale(const File& file,
                                                             const TensorInfo& tensor);

/// The finding as a sentence: file, tensor, row, block, offset and what to do.
std::string describe(const File& file, const TensorInfo& tensor, const InvalidScale& found);

}  // namespace foretoken::gguf
