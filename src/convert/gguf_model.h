// An opened GGUF model as a source of keys and rows: what `quantize` starts from, and what `graft`
// takes its pieces from. Rows come straight from the mapped file, split over files or not.
// Source: docs/gguf.md; the order and the keys are llama-quantize's, of llama.cpp de3ff815.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "convert/model_source.h"
#include "gguf/file.h"

namespace foretoken::convert {

enum class TensorOrder {
  /// What belongs to no block first, then block by block, each by name: llama-quantize's order.
  ByLayer,
  AsInFile,
};

/// All keys of the file (of a split model: of its first file) but the split's own and
/// general.alignment, and all tensors. A tensor whose type cannot be decoded has no read_rows.
/// The source shares ownership of the file.
ModelSource open_gguf_model(std::shared_ptr<const gguf::File> file, TensorOrder order);

/// Sets the two keys that say how a file is quantized; both move to the end of the list.
void set_quantization_keys(gguf::Writer& keys, std::uint32_t file_type);

/// general.file_type of the file or, when it has none, a guess from the most frequent tensor type,
/// marked as one.
std::uint32_t file_type_of(const gguf::File& file);

}  // namespace foretoken::convert
