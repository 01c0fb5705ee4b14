// Any bytes as a safetensors file: opening must give a File, a FormatError or an UnsupportedError.
// What was accepted has every tensor inside its bytes, and written again it reads back the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/error.h"
#include "safetensors/file.h"
#include "safetensors/writer.h"

namespace {

using namespace foretoken;

void require(bool good) {
  if (!good) std::abort();
}

void rewrite(const safetensors::File& file) {
  safetensors::Writer writer;
  for (const auto& [key, value] : file.metadata()) writer.set_metadata(key, value);
  for (const safetensors::TensorInfo& tensor : file.tensors()) {
    writer.add_tensor(tensor.name, tensor.type, tensor.shape, file.data(tensor));
  }
  const auto bytes = writer.to_bytes();
  const safetensors::File again = safetensors::File::from_memory(bytes, "rewritten");
  require(again.tensors().size() == file.tensors().size());
  require(std::ranges::equal(again.metadata(), file.metadata()));
  for (const safetensors::TensorInfo& tensor : file.tensors()) {
    const safetensors::TensorInfo* copy = again.find_tensor(tensor.name);
    require(copy != nullptr && copy->shape == tensor.shape && copy->type == tensor.type);
    require(std::ranges::equal(again.data(*copy), file.data(tensor)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
    const safetensors::File file = safetensors::File::from_memory(bytes, "fuzz");
    std::size_t covered = 0;
    for (const safetensors::TensorInfo& tensor : file.tensors()) {
      require(file.find_tensor(tensor.name) == &tensor);
      require(file.data(tensor).size() == tensor.n_elements() * dtype_bytes(tensor.type));
      covered += tensor.size_bytes;
    }
    require(covered <= size);
    rewrite(file);
  } catch (const FormatError&) {
  } catch (const UnsupportedError&) {
  }
  return 0;
}
