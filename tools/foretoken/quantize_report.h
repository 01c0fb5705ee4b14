// What `foretoken quantize` tells about its plan and its work: for people or, as JSON, for scripts.
#pragma once

#include <string>
#include <vector>

#include "convert/quantize_plan.h"

namespace foretoken::tools {

struct QuantizeReport {
  std::string input;
  std::vector<std::string> outputs;  ///< paths; empty for a dry run
  std::string file_type;             ///< "Q4_K_M" or "COPY"
  std::string imatrix;               ///< path, or empty
  std::size_t n_importances = 0;     ///< entries in use
  const convert::QuantizePlan* plan = nullptr;
  std::size_t file_bytes = 0;  ///< of all outputs, keys and padding included; 0 if none can be
  double seconds = 0.0;        ///< 0 for a dry run
  int n_threads = 0;
};

/// One line a tensor: from which type to which, and its size.
void print_tensor_table(const convert::QuantizePlan& plan);
/// Sizes, types, and what a user should know about this file.
void print_summary(const QuantizeReport& report);
/// All of it as one JSON document.
void print_json(const QuantizeReport& report);

}  // namespace foretoken::tools
