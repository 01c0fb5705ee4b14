// Sampling options in llama.cpp's spelling, shared by `run` and `eval generate`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "sampling/params.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::tools {

struct SamplingOptions {
  sampling::SamplingParams params;
  std::int64_t seed = -1;
  std::vector<std::string> logit_bias;  ///< "15043+1", "15043-inf"
  std::vector<std::string> dry_breakers = {"\n", ":", "\"", "*"};
};

void add_sampling_options(CLI::App& app, SamplingOptions& options);

/// The parameters with texts turned into tokens. Throws RequestError for malformed ones.
sampling::SamplingParams finish_sampling(const SamplingOptions& options,
                                         const tokenizer::Tokenizer& tokenizer);

}  // namespace foretoken::tools
