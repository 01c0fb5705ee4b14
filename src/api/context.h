// What every handler of the API works with: the model's tokenizer and template, the inference
// service, the server's settings. Made once at start; thread safe; handlers hold a shared pointer.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "chat/chat_template.h"
#include "chat/prompt_renderer.h"
#include "engine/generate.h"
#include "grammar/constraints.h"
#include "sampling/params.h"
#include "scheduler/service.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::api {

using Json = nlohmann::ordered_json;

/// What a request starts from where it says nothing.
struct Defaults {
  sampling::SamplingParams sampling;
  std::vector<std::string> dry_breakers{"\n", ":", "\"",
                                        "*"};  ///< as text; expanded per vocabulary
  std::vector<std::string> samplers;           ///< names, see sampler_names.h; empty: all
  engine::SpeculationOptions speculation;
  int n_predict = -1;
  bool ignore_eos = false;
  std::string grammar;
  Json json_schema;  ///< null: none
  std::vector<std::string> stop;
  bool cache_prompt = true;
  double sse_ping_seconds = 30.0;

  std::string reasoning_format = "auto";  ///< auto, none, deepseek, deepseek-legacy
  std::string reasoning = "auto";         ///< on, off, auto (the template's own default)
  std::string reasoning_effort;
  int reasoning_budget = -1;
  std::string reasoning_budget_message;
  bool reasoning_preserve = true;
  bool empty_think = true;  ///< false: --no-empty-think
  bool prefill_assistant = true;
  bool skip_chat_parsing = false;
  Json template_kwargs = Json::object();
  bool special = false;  ///< show control tokens in text
};

/// What /props, /v1/models and answers say about the model and this server.
struct ModelFacts {
  std::vector<std::string> aliases;  ///< the first is the id
  std::vector<std::string> tags;
  std::string path;
  std::string file_type;  ///< "Q4_K - Medium"
  std::string vocabulary_type = "2";
  int n_vocab = 0;
  int n_ctx_train = 0;
  int d_model = 0;
  std::uint64_t n_params = 0;
  std::uint64_t size_bytes = 0;
  int n_mtp_layers = 0;  ///< 0: no head
  std::string mtp_source = "embedded";
  std::string bos_token;
  std::string eos_token;
};

struct Settings {
  bool endpoint_slots = true;
  bool endpoint_props = false;
  bool endpoint_metrics = false;
  bool slots_debug = false;    ///< prompts in /slots
  std::string slot_save_path;  ///< empty: off
  bool web_page = true;        ///< there is a page at /
  std::string media_marker;
  std::string build_info;  ///< "b1-ft<hash>", also system_fingerprint
};

struct Context {
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  std::shared_ptr<const chat::ChatTemplate> chat_template;
  std::shared_ptr<const chat::PromptRenderer> prompts;  ///< renders with chat_template
  std::shared_ptr<const grammar::TokenTrie> token_trie;
  std::shared_ptr<scheduler::Service> service;
  Defaults defaults;
  ModelFacts model;
  Settings settings;
  LogSink log;  ///< may be empty
  std::int64_t started_unix = 0;

  /// Counters of the API itself, for /metrics.
  struct Counters {
    std::atomic<std::uint64_t> tool_parse_soft_fails{0};
    std::atomic<std::uint64_t> loop_stops{0};
  };
  mutable Counters counters;

  void remark(LogLevel level, std::string_view line) const {
    if (log) log(level, line);
  }
};

using ContextPtr = std::shared_ptr<const Context>;

}  // namespace foretoken::api
