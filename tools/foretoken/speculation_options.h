// Options of speculative decoding in llama.cpp's spelling, shared by `run`, `eval` and `bench`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "engine/generate.h"

namespace foretoken::tools {

struct SpeculationFlags {
  std::string type = "auto";
  int n_max = 0;  ///< 0 with n_max_given false: the largest
  bool n_max_given = false;
  int n_min = 0;
  float p_min = 0.0F;
  bool fixed = false;
  bool adaptive = false;
  int vocabulary = 49152;
  std::string synth_rates;
  std::string synth_length;
};

/// Declares them. `measuring` commands draft to the limit unless told to adapt, so that figures
/// repeat; the others adapt unless told not to.
void add_speculation_options(CLI::App& app, SpeculationFlags& flags, bool measuring);

/// The engine's options. Throws RequestError for unknown types and malformed rates.
engine::SpeculationOptions finish_speculation(const SpeculationFlags& flags, bool measuring);

}  // namespace foretoken::tools
