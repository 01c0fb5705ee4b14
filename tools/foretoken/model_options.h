// Options that every command running a model shares, in llama.cpp's spelling.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "engine/engine.h"
#include "engine/session.h"

namespace foretoken::tools {

struct ModelOptions {
  std::string model;
  int threads = 0;
  int context = 0;  ///< 0: what the model was trained for
  int batch = 512;
  std::string key_type = "f16";
  std::string value_type = "f16";
  std::string backend = "auto";
  std::string gpu_layers;
  std::string flash_attention = "auto";
};

/// Declares them on `app`.
void add_model_options(CLI::App& app, ModelOptions& options);

/// Without progress. Throws RequestError for a backend this machine lacks.
engine::EngineOptions make_engine_options(const ModelOptions& options);

/// Loads the model, with a progress bar where standard error is a terminal.
std::unique_ptr<engine::Engine> load_engine(const ModelOptions& options,
                                            engine::WrapOps wrap_ops = {});

/// Session options as given; `context` 0 becomes the model's own.
engine::SessionOptions session_options(const ModelOptions& options, const engine::Engine& engine);

/// f32, f16, bf16, q8_0, q4_0. Throws RequestError for anything else.
quant::Type parse_kv_type(const std::string& name);

}  // namespace foretoken::tools
