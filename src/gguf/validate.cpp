// Applies the per-format scan of quant/validate.h to a tensor of a file.
#include "gguf/validate.h"

#include <fmt/format.h>

#include "base/text.h"
#include "quant/validate.h"

namespace foretoken::gguf {

std::optional<InvalidScale> find_invalid_scale(const File& file, const TensorInfo& tensor) {
  const auto index = quant::find_invalid_block(tensor.type, file.data(tensor));
  if (!index) return std::nullopt;
  const quant::TypeInfo& info = quant::type_info(tensor.type);
  const std::size_t blocks_per_row =
      tensor.n_cols() / static_cast<std::size_t>(info.block_elements);
  return InvalidScale{
      .row = *index / blocks_per_row,
      .block = *index % blocks_per_row,
      .file_offset = tensor.offset + *index * static_cast<std::size_t>(info.block_bytes)};
}

std::string describe(const File& file, const TensorInfo& tensor, const InvalidScale& found) {
  return fmt::format(
      "{}: offset {}: tensor {} holds an infinite or NaN {} in row {}, block {}; the "
      "file is damaged or its quantization went wrong",
      file.path(tensor.file_index), found.file_offset, quoted(tensor.name),
      quant::type_info(tensor.type).block_elements == 1 ? "number" : "scale", found.row,
      found.block);
}

}  // namespace foretoken::gguf
