// Rows of a mapped file, decoded or as they are.
#include "convert/gguf_model.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>

#include "convert/file_type.h"
#include "convert/recipe.h"

namespace foretoken::convert {
namespace {

// Version of the block formats; it has not changed since the K types came.
constexpr std::uint32_t kQuantizationVersion = 2;

TensorSource tensor_source(const gguf::File& file, const gguf::TensorInfo& tensor) {
  const std::size_t n_cols = tensor.n_cols();
  const std::size_t row_bytes = quant::row_bytes(tensor.type, n_cols);
  const std::byte* const data = file.data(tensor).data();
  TensorSource out;
  out.name = tensor.name;
  out.shape = tensor.shape;
  out.type = tensor.type;
  if (quant::type_info(tensor.type).decodable) {
    out.read_rows = [=, type = tensor.type](std::size_t first, std::size_t n, float* rows) {
      for (std::size_t i = 0; i < n; ++i) {
        quant::dequantize_row(type, data + (first + i) * row_bytes, rows + i * n_cols, n_cols);
      }
    };
  }
  out.copy_rows = [=](std::size_t first, std::size_t n, std::byte* rows) {
    std::memcpy(rows, data + first * row_bytes, n * row_bytes);
  };
  out.range = FileRange{
      .path = file.path(tensor.file_index), .offset = tensor.offset, .size = tensor.size_bytes};
  out.done = [&file, &tensor] { file.drop_pages(tensor); };
  return out;
}

}  // namespace

ModelSource open_gguf_model(std::shared_ptr<const gguf::File> file, TensorOrder order) {
  ModelSource out;
  out.origin = file->path();
  out.keys.copy_metadata(file->metadata());
  for (const char* key : {"split.no", "split.count", "split.tensors.count"}) out.keys.remove(key);
  for (const gguf::TensorInfo& tensor : file->tensors()) {
    out.tensors.push_back(tensor_source(*file, tensor));
  }
  if (order == TensorOrder::ByLayer) {
    std::sort(out.tensors.begin(), out.tensors.end(),
              [](const TensorSource& a, const TensorSource& b) {
                return std::pair(layer_of(a.name), std::string_view(a.name)) <
                       std::pair(layer_of(b.name), std::string_view(b.name));
              });
  }
  out.keep_alive = std::move(file);
  return out;
}

void set_quantization_keys(gguf::Writer& keys, std::uint32_t file_type) {
  keys.set_u32("general.quantization_version", kQuantizationVersion);
  keys.set_u32("general.file_type", file_type);
}

std::uint32_t file_type_of(const gguf::File& file) {
  if (const auto known = file.metadata().find_u32("general.file_type")) return *known;
  std::map<quant::Type, int> counts;
  quant::Type most = quant::Type::F32;
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    if (++counts[tensor.type] > counts[most]) most = tensor.type;
  }
  return guess_file_type(most) | kGuessedFileType;
}

}  // namespace foretoken::convert
