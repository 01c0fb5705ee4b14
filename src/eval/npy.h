// Writes float32 arrays in NumPy's .npy format (version 1.0), row by row, so that logits of a long
// text never have to be in memory at once.
// Source: NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays".
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/output_file.h"

namespace foretoken::eval {

/// A file of shape [n_rows, n_cols] (or [n_cols] when n_rows is 0, for a single row). Written under
/// a temporary name that becomes `path` in `finish`; without it nothing is left behind. Throws
/// IoError when the file cannot be written.
class NpyWriter {
 public:
  NpyWriter(const std::string& path, std::size_t n_rows, std::size_t n_cols);
  /// Appends values; in all n_rows * n_cols of them must come.
  void write(std::span<const float> values);
  void finish();

 private:
  OutputFile file_;
};

}  // namespace foretoken::eval
