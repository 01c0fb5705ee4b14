// Converting a test's checkpoint and looking at the numbers of the file.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "convert/hf_model.h"
#include "convert/write_model.h"
#include "gguf/file.h"
#include "quant/type.h"

namespace foretoken::convert {

/// Numbers of a tensor of a file.
inline std::vector<float> numbers_of(const gguf::File& file, const std::string& name) {
  const gguf::TensorInfo& info = file.require_tensor(name);
  std::vector<float> out(info.n_elements());
  for (std::size_t row = 0; row < info.n_rows(); ++row) {
    quant::dequantize_row(info.type,
                          file.data(info).data() + row * quant::row_bytes(info.type, info.n_cols()),
                          out.data() + row * info.n_cols(), info.n_cols());
  }
  return out;
}

/// The file that a checkpoint becomes, written to `out`.
inline gguf::File converted(const std::string& folder, const std::string& out,
                            const HfModelOptions& options = {}, int n_threads = 2) {
  const HfModel model = open_hf_model(folder, options);
  ThreadPool pool(n_threads);
  write_file(model.file_target(out), pool);
  return gguf::File::open(out);
}

}  // namespace foretoken::convert
