// What an importance matrix says about each weight, in a line: for judging whether a text exercised
// the model evenly and which layers treat their inputs alike.
// Source: the columns of llama-imatrix --show-statistics (de3ff815); docs/imatrix.md, "Statistics".
#pragma once

#include <string>
#include <vector>

#include "gguf/imatrix_file.h"

namespace foretoken::eval {

/// Over the columns of one weight; a_c = sum of squares / count is the mean square of column c.
struct ImatrixStatistics {
  std::string name;    ///< "blk.3.attn_q.weight"
  int layer = -1;      ///< 3; -1 outside the blocks
  std::string tensor;  ///< "attn_q"
  std::size_t n_columns = 0;
  double total = 0.0;  ///< sum of a
  double least = 0.0;
  double most = 0.0;
  double mean = 0.0;
  double deviation = 0.0;
  double active = 0.0;         ///< share of columns with a > 1e-5
  double entropy = 0.0;        ///< -sum p log2 p in bits, p = a / total
  double entropy_share = 0.0;  ///< of the most there could be, log2(n_columns)
  double outliers = 0.0;       ///< share of columns more than a deviation above the mean ("ZD")
  /// Cosine between a and that of the same weight one layer below; 0 where there is none.
  double cosine_below = 0.0;
};

/// One per weight that was used, by tensor and then by falling total, as llama-imatrix lists them.
std::vector<ImatrixStatistics> compute_statistics(const gguf::ImatrixFile& file);

}  // namespace foretoken::eval
