// Measurements as text: llama-bench's Markdown table, CSV and JSON, so that results stand side by
// side with its own.
//
// Rows come one by one, so that a long run shows what it has; columns are therefore chosen before
// the first. Keys that exist in llama-bench keep their names; keys of features we lack are left
// out.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "eval/bench_result.h"

namespace foretoken::eval {

/// Columns of the table that not every run needs. CSV and JSON always have everything.
struct BenchColumns {
  bool batch = false;
  bool ubatch = false;
  bool key_type = false;
  bool value_type = false;
  bool drafts = false;   ///< n_max, acc, len
  bool latency = false;  ///< milliseconds of one pass
};

/// Returns text to be written as it comes. Call begin once, row for each result, end once.
class BenchReport {
 public:
  virtual ~BenchReport() = default;
  virtual std::string begin() { return {}; }
  virtual std::string row(const BenchResult& result) = 0;
  virtual std::string end() { return {}; }
};

/// "md", "csv", "json", "jsonl". Throws RequestError for any other format.
std::unique_ptr<BenchReport> make_bench_report(std::string_view format, const BenchMachine& machine,
                                               const BenchColumns& columns);

}  // namespace foretoken::eval
