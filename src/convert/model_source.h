// A model on its way into a GGUF file: the keys, and for each tensor a way to make its rows. The
// Hugging Face reader (hf_model.h) and the GGUF reader (gguf_model.h) both produce this, and
// `convert`, `quantize`, `graft` and `release` all write from it, so that any source can go to any
// type in one pass and with the same bytes as by way of files.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gguf/writer.h"
#include "quant/type.h"

namespace foretoken::convert {

/// A stretch of a file.
struct FileRange {
  std::string path;
  std::size_t offset = 0;
  std::size_t size = 0;
};

/// One tensor. The functions may be called from several threads at once and in any order.
struct TensorSource {
  std::string name;                ///< in the GGUF file
  std::vector<std::size_t> shape;  ///< outermost first: n_rows() rows of shape.back() elements
  /// Of the numbers at their source: F32, F16, BF16 or a block type.
  quant::Type type = quant::Type::F32;

  /// Rows [first, first + n) as floats, every transformation applied, to out [n, n_cols]. Exact.
  std::function<void(std::size_t first, std::size_t n, float* out)> read_rows;
  /// The same rows as bytes of `type`; empty when the transformation changes the numbers, so that
  /// they can only be had as floats.
  std::function<void(std::size_t first, std::size_t n, std::byte* out)> copy_rows;
  /// Set when the whole tensor, as bytes of `type`, lies in one piece in a file.
  std::optional<FileRange> range;
  /// File and tensor that the numbers come from, for error texts; may be empty.
  std::string origin;
  /// Refuse numbers that are NaN or infinite also where bytes go over as they are. Float types.
  bool check_copies = false;
  /// Gives the system back the source's pages read so far, to be called between reads as often as
  /// wanted; they stay readable. May be empty.
  std::function<void()> done;

  std::size_t n_cols() const { return shape.back(); }
  std::size_t n_rows() const {
    std::size_t n = 1;
    for (std::size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
    return n;
  }
  /// Bytes of the tensor as `type`.
  std::size_t source_bytes() const { return n_rows() * quant::row_bytes(type, n_cols()); }
};

/// Keys and tensors, both in the order of the file to write.
struct ModelSource {
  std::string origin;  ///< path for error texts
  /// Keys only; tensors are declared by whoever writes the file.
  gguf::Writer keys;
  std::vector<TensorSource> tensors;
  /// What the tensors' functions borrow from.
  std::shared_ptr<const void> keep_alive;
};

}  // namespace foretoken::convert
