// Turns tensor sources into the bytes of a file: decides nothing, streams everything. Rows are
// made, encoded and written in slabs by all threads at once; no tensor is ever held whole.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "base/thread_pool.h"
#include "convert/model_source.h"

namespace foretoken::convert {

/// What one tensor becomes.
struct TensorTarget {
  const TensorSource* source = nullptr;
  quant::Type type = quant::Type::F32;
  std::vector<float> importance;  ///< [n_cols] or empty
};

/// A whole file to write: keys, and tensors in order.
struct FileTarget {
  std::string path;
  gguf::Writer keys;
  std::vector<TensorTarget> tensors;
};

/// Called from the calling thread with the bytes of the target written so far and in all. False
/// stops the work: Cancelled is thrown and nothing is left.
using WriteProgress = std::function<bool(std::size_t done, std::size_t total)>;

/// Writes one tensor's bytes at `offset` of an output. Bytes that are of the target's type already
/// are copied (by the kernel where they lie in one piece), all others are decoded and encoded.
/// Throws FormatError naming tensor and row for numbers that are NaN or infinite where they must be
/// encoded, IoError.
void write_tensor(const TensorTarget& target, OutputFile& out, std::size_t offset,
                  ThreadPool& pool);

/// Writes a file; it appears whole under its name or not at all.
void write_file(const FileTarget& target, ThreadPool& pool, const WriteProgress& progress = {});

/// Bytes the file will have.
std::size_t file_size(const FileTarget& target);

}  // namespace foretoken::convert
