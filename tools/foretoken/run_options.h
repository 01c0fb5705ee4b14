// What `foretoken run` was asked for.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "dialogue.h"
#include "model_options.h"
#include "sampling_options.h"
#include "speculation_options.h"

namespace foretoken::tools {

struct RunOptions {
  ModelOptions model;
  SamplingOptions sampling;
  SpeculationFlags speculation;

  std::string prompt;
  bool has_prompt = false;
  std::string file;
  std::string system;
  std::string system_file;
  int n_predict = -1;
  bool ignore_end = false;
  bool escapes = false;  ///< \n, \t, ... in -p and -sys stand for control characters

  bool raw = false;           ///< no chat template
  bool conversation = false;  ///< go on interactively after -p or -f
  bool single_turn = false;
  std::string reasoning = "auto";
  std::string reasoning_format = "auto";
  bool show_thinking = false;
  bool hide_thinking = false;
  bool special = false;
  std::string template_file;
  std::string template_variables;

  bool perf = true;
  bool history = true;
  std::string history_file;
};

void add_run_options(CLI::App& app, RunOptions& options);

/// Values that only make sense together or inside a range. Throws RequestError.
void check(const RunOptions& options);

/// `text` with \n, \r, \t, \\, \", \' and \xNN replaced by what they stand for; other backslashes
/// stay.
std::string unescape(std::string_view text);

}  // namespace foretoken::tools
