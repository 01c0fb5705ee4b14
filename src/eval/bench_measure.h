// The measurements themselves. Each times only what it names: filling a context to a depth,
// restoring it between repetitions and reading prompts stay outside the clock.
// Source: docs/benchmarking.md, "What is inside the clock"; the tests pp and tg are llama-bench's.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/generate.h"
#include "eval/bench_result.h"

namespace foretoken::eval {

struct BenchRepeat {
  int repetitions = 5;
  bool warm_up = true;  ///< one repetition more, not counted
  /// Called before each repetition with its number, 0 for the warm-up.
  std::function<void(int)> progress = {};
};

/// What a measurement yields; the caller adds setup, test and time.
struct BenchMeasurement {
  std::vector<BenchSample> samples;
  BenchDrafts drafts;
  /// Greedy tokens of the first repetition, for comparing runs: all replies one after the other.
  std::vector<TokenId> tokens;
};

/// test.n_prompt tokens in batches with the logits of the last one, then test.n_gen passes of one
/// token with its logits, behind test.n_depth tokens. Tokens are random, the same in each call.
/// Requires room for all of them in the session, which is left empty.
BenchMeasurement measure_throughput(engine::Session& session, const BenchTest& test,
                                    const BenchRepeat& repeat);

/// Target passes over test.n_prompt tokens (1 .. kMaxVerifyWidth) behind test.n_depth others, as
/// when verifying drafts of which none is kept: the state goes on by one token a pass. A repetition
/// is kVerifyPasses passes. Requires room for them.
BenchMeasurement measure_verify(engine::Session& session, const BenchTest& test,
                                const BenchRepeat& repeat);
inline constexpr int kVerifyPasses = 8;

/// Replies of up to `n_gen` tokens to each prompt, timed from each reply's first token to its last
/// (reading the prompts is outside). A repetition is all prompts. Replies end where the model ends
/// them: what follows an end is not text that drafts are made for.
BenchMeasurement measure_speculation(engine::Session& session, engine::Generator& generator,
                                     std::span<const std::vector<TokenId>> prompts, int n_gen,
                                     const BenchRepeat& repeat);

}  // namespace foretoken::eval
