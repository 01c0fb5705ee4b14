// Time to turn the logits of one position into a distribution, on this family's vocabulary (248320
// rows, 248077 of them tokens). Bound: one pass over 1 MB of logits, about 40 us at 25 GB/s from
// the last cache. Logits are normal with deviation 3, which makes a much flatter law than a real
// text's, so the rows without top_k are an upper end.
//   sampling_bench --benchmark_repetitions=5
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "sampling/sampler.h"
#include "sampling/select.h"

namespace foretoken::sampling {
namespace {

constexpr int kVocab = 248320;
constexpr int kRealVocab = 248077;
constexpr int kDraftRows = 49152;

std::vector<float> normal_logits(int n) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> logits(static_cast<std::size_t>(n));
  for (float& x : logits) x = normal(random);
  return logits;
}

void set_rate(benchmark::State& state, int n_logits) {
  state.SetBytesProcessed(state.iterations() * n_logits * static_cast<int>(sizeof(float)));
}

void BM_Argmax(benchmark::State& state) {
  const std::vector<float> logits = normal_logits(kVocab);
  for (auto _ : state) benchmark::DoNotOptimize(argmax(logits));
  set_rate(state, kVocab);
}
BENCHMARK(BM_Argmax)->Unit(benchmark::kMicrosecond);

SamplingParams with_history_penalties() {
  SamplingParams params;
  params.presence_penalty = 1.5F;
  params.dry_multiplier = 0.8F;
  return params;
}

SamplingParams without_top_k(float top_p, float min_p) {
  SamplingParams params;
  params.top_k = 0;
  params.top_p = top_p;
  params.min_p = min_p;
  return params;
}

SamplingParams greedy() {
  SamplingParams params;
  params.temperature = 0.0F;
  return params;
}

void run_sampler(benchmark::State& state, SamplingParams params, int n_rows) {
  params.seed = 1;
  Sampler sampler(params, kVocab, kRealVocab);
  for (TokenId id = 0; id < 200; ++id) sampler.accept(id * 7 % 500);
  const std::vector<float> logits = normal_logits(n_rows);
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < n_rows; ++id) ids.push_back(id);
  for (auto _ : state) {
    benchmark::DoNotOptimize(n_rows == kVocab ? sampler.distribution(logits)
                                              : sampler.distribution(logits, ids));
  }
  set_rate(state, n_rows);
}

BENCHMARK_CAPTURE(run_sampler, greedy, greedy(), kVocab)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_sampler, defaults, SamplingParams{}, kVocab)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_sampler, presence_and_dry, with_history_penalties(), kVocab)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_sampler, draft_rows_presence_and_dry, with_history_penalties(), kDraftRows)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_sampler, min_p_alone, without_top_k(1.0F, 0.05F), kVocab)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_sampler, top_p_without_top_k, without_top_k(0.95F, 0.0F), kVocab)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run_sampler, nothing_filtered, without_top_k(1.0F, 0.0F), kVocab)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace foretoken::sampling

BENCHMARK_MAIN();
