// The options of `foretoken serve`, in llama-server's spelling, so that its scripts start this
// server by changing the program's name. Grouped as its help is: model, context, chat, HTTP; what
// has no effect here and what is refused are tables of their own (compatibility.h).
// Source: docs/serve.md, the list of flags.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "model_options.h"
#include "sampling_options.h"
#include "speculation_options.h"

namespace foretoken::tools {

/// Where the model comes from and what it is called.
struct ServeModelOptions {
  std::string hub_repository;  ///< -hf user/model[:quant]
  std::string hub_file;
  std::string hub_token;
  bool offline = false;
  std::string alias;  ///< comma list
  std::string tags;   ///< comma list
  std::string projector;
  bool projector_auto = true;
  int image_min_tokens = 0;
  int image_max_tokens = 0;
  std::string draft_model;  ///< -md
  bool list_devices = false;
};

/// Slots, caches, batching.
struct ServeContextOptions {
  std::string parallel = "auto";  ///< "auto" or -1: 4 slots that share the context
  bool kv_unified = false;
  int kv_unified_per_slot = 0;  ///< 0: no cap
  bool cont_batching = true;
  bool cache_prompt = true;
  int cache_ram_mib = 8192;     ///< -1: no bound, 0: only what the slots need
  int checkpoints = -1;         ///< states per slot; negative: as many as cache_ram_mib holds
  int checkpoint_min_step = 0;  ///< 0: this program's own spacing
  std::string slot_save_path;
  std::string cache_dir;  ///< prefix cache kept over restarts; empty: not
  int queue_bound = 512;
  int sleep_idle_seconds = -1;
  bool warmup = true;
};

struct ServeChatOptions {
  int n_predict = -1;
  bool ignore_eos = false;
  bool jinja = true;
  std::string chat_template;
  std::string chat_template_file;
  std::string template_kwargs;  ///< JSON text
  std::string reasoning_format = "auto";
  std::string reasoning = "auto";
  std::string reasoning_effort;
  int reasoning_budget = -1;
  std::string reasoning_budget_message;
  bool reasoning_preserve = true;
  bool empty_think = true;
  bool skip_chat_parsing = false;
  bool prefill_assistant = true;
  bool special = false;
  std::vector<std::string> stop;  ///< -r
  std::string grammar;
  std::string grammar_file;
  std::string json_schema;
  std::string json_schema_file;
  std::string samplers;
};

struct ServeHttpOptions {
  std::string host = "127.0.0.1";
  int port = 8080;
  bool reuse_port = false;
  std::string prefix;
  std::string static_path;
  std::string api_keys;  ///< comma list
  std::string api_key_file;
  std::string tls_key_file;
  std::string tls_certificate_file;
  std::string cors_origins = "*";
  std::string cors_methods = "GET, POST, DELETE, OPTIONS";
  std::string cors_headers = "*";
  bool cors_credentials = true;
  int timeout_s = 3600;
  double sse_ping_s = 30.0;
  bool metrics = false;
  bool slots = true;
  bool props = false;
  bool page = true;
  int drain_s = 30;
};

struct ServeLogOptions {
  int verbosity = 3;  ///< 0 nothing .. 3 info, 4 debug
  bool verbose = false;
  std::string file;
  bool jsonl = false;
  std::string colors = "auto";
  bool prefix = false;
  bool timestamps = true;
  bool disabled = false;
};

struct ServeOptions {
  ModelOptions model;
  ServeModelOptions source;
  ServeContextOptions context;
  ServeChatOptions chat;
  ServeHttpOptions http;
  ServeLogOptions log;
  SamplingOptions sampling;
  SpeculationFlags speculation;
  bool synthetic_allowed = false;  ///< --spec-synth-i-know

  std::vector<std::string> notices;  ///< flags that mean something else here, for the log
  std::string refused;               ///< why a flag is fatal; empty: none was given
};

/// Declares them all.
void add_serve_options(CLI::App& app, ServeOptions& options);

// The groups, one file each.
void add_serve_model_options(CLI::App& app, ServeOptions& options);
void add_serve_context_options(CLI::App& app, ServeContextOptions& options);
void add_serve_chat_options(CLI::App& app, ServeOptions& options);
void add_serve_http_options(CLI::App& app, ServeHttpOptions& options);
void add_serve_log_options(CLI::App& app, ServeLogOptions& options);
/// What scripts say that has no effect here, has another name by now, or cannot be done.
void add_serve_compatibility_options(CLI::App& app, ServeOptions& options);

/// A value given twice (the last counts), or both on the command line and in the environment.
std::vector<std::string> repeated_options(const CLI::App& app);

}  // namespace foretoken::tools
