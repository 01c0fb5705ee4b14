// What `foretoken bench` was asked for: llama-bench's options, and ours for speculation.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "speculation_options.h"

namespace foretoken::tools {

/// As typed. Each option may be repeated and may hold a list.
struct BenchOptions {
  std::vector<std::string> models;
  std::vector<std::string> prompts;      ///< -p
  std::vector<std::string> generated;    ///< -n
  std::vector<std::string> both;         ///< -pg
  std::vector<std::string> depths;       ///< -d
  std::vector<std::string> batches;      ///< -b
  std::vector<std::string> ubatches;     ///< -ub
  std::vector<std::string> key_types;    ///< -ctk
  std::vector<std::string> value_types;  ///< -ctv
  std::vector<std::string> threads;      ///< -t
  int repetitions = 5;
  int delay_seconds = 0;
  std::string output = "md";
  std::string output_err = "none";
  bool progress = false;
  bool warm_up = true;
  std::string backend = "auto";

  std::string spec_type = "none";
  std::vector<std::string> n_max;
  std::string synth_rates;
  std::string synth_length;
  std::string temperatures = "0,1";
  bool by_category = false;
  bool adaptive = false;
  int draft_vocabulary = 49152;
  bool cost = false;
};

/// The same as numbers, defaults filled in.
struct BenchLists {
  std::vector<std::string> models;
  std::vector<int> prompts;
  std::vector<int> generated;
  std::vector<std::pair<int, int>> both;
  std::vector<int> depths;
  std::vector<int> batches;
  std::vector<int> ubatches;
  std::vector<std::string> key_types;
  std::vector<std::string> value_types;
  std::vector<int> threads;
  std::vector<int> n_max;
  std::vector<float> temperatures;
  bool speculate = false;
};

void add_bench_options(CLI::App& app, BenchOptions& options);

/// Throws RequestError for malformed lists and values out of range.
BenchLists finish_bench_options(const BenchOptions& options);

}  // namespace foretoken::tools
