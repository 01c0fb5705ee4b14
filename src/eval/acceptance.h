// How often a model keeps the drafts of its MTP head, by depth of drafting and kind of text: what
// speed-up to expect, and whether a grafted head fits.
//
// Every prompt is answered with exactly n drafts a round, for n = 1 .. max_depth, greedily or
// sampled. Counted are drafts that were judged and drafts that were kept; those behind the end of
// an answer were never wanted and do not count. tokens per round = 1 + kept / rounds.
// Source: docs/evaluation.md, "Acceptance".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cache/kv_cache.h"
#include "engine/engine.h"
#include "eval/acceptance_prompts.h"

namespace foretoken::eval {

struct AcceptanceOptions {
  int max_depth = 3;   ///< drafts a round, 1 .. engine::kMaxDraftChain
  int n_predict = 64;  ///< most tokens of an answer
  /// One run each; 0 or below is greedy. Other sampling parameters are the usual ones.
  std::vector<float> temperatures = {0.0F, 0.7F};
  std::uint32_t seed = 1;    ///< of the first prompt's sampled answers, counting up from there
  bool thinking = false;     ///< ask the model to think first
  int draft_vocabulary = 0;  ///< rows of the output matrix drafts may come from, 0: all
  int n_context = 0;         ///< 0: what the longest prompt and its answer need
  int n_batch = 512;         ///< prompt tokens per pass; changes speed, not results
  cache::KvTypes kv_types = {};
};

/// What happened in the answers of one category at one depth.
struct AcceptanceCount {
  int n_tokens = 0;  ///< of the answers
  int rounds = 0;
  int drafted = 0;
  int accepted = 0;
  std::vector<int> drafted_at;   ///< [depth] by position in the draft
  std::vector<int> accepted_at;  ///< [depth]

  /// 0 when nothing was drafted.
  double rate() const;
  /// The model's own token included; 0 without a round.
  double tokens_per_round() const;
  void add(const AcceptanceCount& other);
};

struct AcceptanceRow {
  std::string category;
  int n_prompts = 0;
  std::vector<AcceptanceCount> by_depth;  ///< [max_depth]; entry n - 1 with n drafts a round
};

/// All categories at one temperature.
struct AcceptanceRun {
  float temperature = 0.0F;
  std::vector<AcceptanceRow> rows;
  AcceptanceRow all;  ///< category "all"
};

struct AcceptanceReport {
  AcceptanceOptions options;
  std::vector<AcceptanceRun> runs;  ///< in the order of options.temperatures
};

/// Called while answers come with (answers done, answers in all); false stops.
using AcceptanceProgress = std::function<bool(std::size_t, std::size_t)>;

/// Measures on `categories`. Throws RequestError for options out of range and for a model without
/// an MTP head, TemplateError where the model's template refuses a prompt, Cancelled when
/// `progress` says so. The result does not depend on the number of threads.
AcceptanceReport measure_acceptance(engine::Engine& engine,
                                    const std::vector<AcceptanceCategory>& categories,
                                    const AcceptanceOptions& options,
                                    const AcceptanceProgress& progress = {});
/// The same on the bundled prompts.
AcceptanceReport measure_acceptance(engine::Engine& engine, const AcceptanceOptions& options,
                                    const AcceptanceProgress& progress = {});

}  // namespace foretoken::eval
