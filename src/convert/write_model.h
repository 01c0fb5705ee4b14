// Turns tensor sources into the bytes of a file: decides nothing, streams everything. Rows are
// made, encoded and written in slabs by all threads at once; no tensor is ever held whole.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
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

/// Called from the calling thread, every few tens of milliseconds, with the bytes of the target
/// written so far and in all. False stops the work: Cancelled is thrown and nothing is left.
using WriteProgress = std::function<bool(std::size_t done, std::size_t total)>;

/// One place that a tensor's bytes go to.
struct TensorOutput {
  quant::Type type = quant::Type::F32;
  std::span<const float> importance;  ///< [n_cols] or empty
  OutputFile* file = nullptr;
  std::size_t offset = 0;
};

/// Writes one tensor to any number of places, in a type of its own each (`release` makes all its
/// files from one reading). Rows are read and decoded once, in slabs, and encoded for every output;
/// outputs of the source's own type get its bytes as they are (copied by the kernel where they lie
/// in one piece). Calls source.done() now and then and at the end. `progress` counts the bytes of
/// all outputs of this tensor. Throws FormatError naming tensor, row and column for numbers that
/// are NaN, infinite or too large where they are encoded or the source has copies checked,
/// UnsupportedError for types without an encoder, IoError, Cancelled.
void write_tensor(const TensorSource& source, std::span<const TensorOutput> outputs,
                  ThreadPool& pool, const WriteProgress& progress = {});

/// Writes a file; it appears whole under its name or not at all.
void write_file(const FileTarget& target, ThreadPool& pool, const WriteProgress& progress = {});

/// Bytes the file will have.
std::size_t file_size(const FileTarget& target);

}  // namespace foretoken::convert
