// Any bytes as a GGUF file: opening must give a File or a FormatError, and everything that an
// opened file offers must be readable: keys as text and by type, tensors' bytes, scales, values,
// and the summary that `inspect` prints. What was accepted strictly is written again and must be
// readable again with the same tensors.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "gguf/file.h"
#include "gguf/validate.h"
#include "gguf/writer.h"
#include "model/file_summary.h"

namespace {

using namespace foretoken;

void require(bool good) {
  if (!good) std::abort();
}

void read_metadata(const gguf::Metadata& metadata) {
  for (const gguf::Entry& entry : metadata.entries()) {
    require(!entry.to_text(4).empty() || entry.type == gguf::ValueType::String);
    if (entry.type == gguf::ValueType::String) require(metadata.find_string(entry.key).has_value());
    if (entry.type != gguf::ValueType::Array) continue;
    if (entry.element_type == gguf::ValueType::String) {
      require(metadata.find_string_array(entry.key).value().size() == entry.count);
    } else if (entry.count > 0) {
      require(!entry.element_text(entry.count - 1).empty());
    }
    if (entry.element_type == gguf::ValueType::Bool) {
      require(metadata.find_bool_array(entry.key).value().size() == entry.count);
    }
    if (entry.element_type == gguf::ValueType::F32) {
      require(metadata.find_f32_array(entry.key).value().size() == entry.count);
    }
  }
}

void read_tensors(const gguf::File& file) {
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    require(file.data(tensor).size() == tensor.size_bytes);
    require(file.find_tensor(tensor.name) == &tensor);
    static_cast<void>(gguf::find_invalid_scale(file, tensor));
    const std::size_t row = quant::row_bytes(tensor.type, tensor.n_cols());
    require(row * tensor.n_rows() == tensor.size_bytes);
    if (!quant::type_info(tensor.type).decodable) continue;
    std::vector<float> values(tensor.n_cols());
    quant::dequantize_row(tensor.type, file.data(tensor).data() + (tensor.n_rows() - 1) * row,
                          values.data(), values.size());
  }
}

void rewrite(const gguf::File& file) {
  gguf::Writer writer;
  writer.copy_metadata(file.metadata());
  for (const gguf::TensorInfo& tensor : file.tensors()) writer.add_tensor(file, tensor);
  const auto bytes = writer.to_bytes();
  const gguf::File again = gguf::File::from_memory(bytes, "rewritten");
  require(again.tensors().size() == file.tensors().size());
  for (std::size_t i = 0; i < again.tensors().size(); ++i) {
    require(std::ranges::equal(again.data(again.tensors()[i]), file.data(file.tensors()[i])));
  }
}

void open_and_read(std::span<const std::byte> bytes, bool lenient) {
  try {
    const gguf::File file = gguf::File::from_memory(bytes, "fuzz", {.lenient = lenient});
    read_metadata(file.metadata());
    read_tensors(file);
    static_cast<void>(model::summarize(file));
    rewrite(file);
  } catch (const FormatError&) {
    // The expected answer to damaged bytes.
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  open_and_read(bytes, false);
  open_and_read(bytes, true);
  return 0;
}
