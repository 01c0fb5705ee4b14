// One row of a speed measurement: what was measured, with what, and every repetition's time.
// Source of names and tests: llama.cpp, tools/llama-bench (September 2026); speculation and verify
// cost are our own additions.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace foretoken::eval {

/// The program and the machine; the same for all rows of a run.
struct BenchMachine {
  std::string version;    ///< of the program
  std::string processor;  ///< as the system names it
};

/// What a model was run with.
struct BenchSetup {
  std::string model_path;
  std::string model_type;        ///< "qwen35 9B Q4_K_M"
  std::size_t size_bytes = 0;    ///< of all tensors
  std::size_t n_parameters = 0;  ///< elements of all tensors
  std::string backend;           ///< "CPU"
  std::string kernels;           ///< "avx512-vnni"
  int n_threads = 0;
  int n_batch = 0;   ///< as given with -b
  int n_ubatch = 0;  ///< as given with -ub
  std::string key_type;
  std::string value_type;
};

/// What was timed.
struct BenchTest {
  enum class Kind {
    Throughput,   ///< n_prompt tokens at once, then n_gen one by one, behind n_depth others
    Speculation,  ///< up to n_gen tokens of real text, drafting up to n_max a round
    Verify,       ///< target passes over n_prompt (1 .. 9) tokens behind n_depth others
  };
  Kind kind = Kind::Throughput;
  int n_prompt = 0;
  int n_gen = 0;
  int n_depth = 0;

  // Speculation only.
  int n_max = 0;
  float temperature = 0.0F;
  std::string category = {};  ///< kind of text; empty: all kinds together
  bool synthetic = false;     ///< drafts were accepted by lot

  /// "pp512", "tg128", "pp512+tg128", "tg128 @ d4096", "spec128 t1 code", "verify4".
  std::string name() const;
};

/// What became of drafts. All zero where none were made.
struct BenchDrafts {
  int rounds = 0;
  int drafted = 0;
  int accepted = 0;
  std::vector<int> drafted_at;   ///< by position in the draft
  std::vector<int> accepted_at;  ///< by position in the draft
  double draft_seconds = 0.0;
  double verify_seconds = 0.0;

  double acceptance() const { return drafted == 0 ? 0.0 : static_cast<double>(accepted) / drafted; }
  /// Tokens per pass of the target, its own included.
  double mean_length() const {
    return rounds == 0 ? 0.0 : 1.0 + static_cast<double>(accepted) / rounds;
  }
};

/// One repetition.
struct BenchSample {
  int n_tokens = 0;
  double seconds = 0.0;
  double rate() const { return seconds > 0.0 ? n_tokens / seconds : 0.0; }
};

struct BenchResult {
  BenchSetup setup;
  BenchTest test;
  std::string time;  ///< when it began, UTC, ISO 8601
  std::vector<BenchSample> samples = {};
  BenchDrafts drafts = {};
};

}  // namespace foretoken::eval
