// Speed of the mixers on the 9B's shapes: delta net (16 key heads, 32 value heads, 128 x 128) and
// attention (16 query heads, 4 key/value heads of 256). Every iteration works on another of the
// model's layers, so decode figures include fetching the state or cache from memory as a real step
// does. Bounds: delta-net decode reads and writes 2.1 MB of state per layer, 4.2 MB of traffic
// however many tokens; its prefill does 7 operations per cell and token, 3.67 MFLOP a layer;
// attention reads the cache once for all rows and does 4 * head_dim operations per query and key.
//   mixer_bench --benchmark_filter=DeltaNet --threads=4
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/thread_pool.h"
#include "cache/kv_cache.h"
#include "kernels/reference/mixer_scenarios.h"

namespace foretoken::kernels {
namespace {

using testing::AttentionLayer;
using testing::AttentionShape;
using testing::DeltaNetLayer;
using testing::DeltaNetMemory;
using testing::Random;

constexpr DeltaNetShape kShape9B{16, 32, 128, 128};
constexpr int kDeltaLayers9B = 24;

// Set once by main, before any benchmark runs: --threads=N, otherwise all of the machine's.
int& n_threads() {
  static int n = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return n;
}

// n tokens per call; up to kMaxPending as a verification step that folds what it drafted before.
void bench_delta_net(benchmark::State& state, CpuLevel level) {
  const int n = static_cast<int>(state.range(0));
  const bool decode = n <= kMaxPending;
  Random random(1);
  ThreadPool pool(n_threads());
  const auto ops = make_cpu_ops(pool, level);
  const DeltaNetLayer layer(random, kShape9B, n);
  std::vector<DeltaNetMemory> memories(decode ? kDeltaLayers9B : 2, DeltaNetMemory(kShape9B));
  testing::AlignedVector<float> qkv(layer.qkv.size());
  testing::AlignedVector<float> out(layer.z.size());
  DeltaNetArgs args = testing::delta_net_args(layer, memories[0], {0, n, 0, !decode});
  args.qkv = qkv.data();
  args.out = out.data();
  std::size_t i = 0;
  for (auto _ : state) {
    std::copy(layer.qkv.begin(), layer.qkv.end(), qkv.begin());  // the call overwrites it
    args.state = memories[i % memories.size()].view();
    args.n_fold = decode && i >= memories.size() ? n : 0;
    const auto start = std::chrono::steady_clock::now();
    ops->delta_net(args);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    state.SetIterationTime(elapsed.count());
    ++i;
  }
  const auto calls = static_cast<double>(state.iterations());
  const double cells = static_cast<double>(kShape9B.state_size());
  const int passes = decode ? 2 * n : n;  // folding costs as much again
  state.counters["state_GB/s"] =
      benchmark::Counter(calls * cells * 8e-9, benchmark::Counter::kIsRate);
  state.counters["GFLOP/s"] =
      benchmark::Counter(calls * cells * 7e-9 * passes, benchmark::Counter::kIsRate);
  // One call is one layer: all delta-net layers of the model, per new token.
  state.counters["s/token_24_layers"] = benchmark::Counter(
      calls * n / kDeltaLayers9B, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void bench_attend(benchmark::State& state, CpuLevel level, quant::Type type) {
  const int context = static_cast<int>(state.range(0));
  const int n = static_cast<int>(state.range(1));
  Random random(2);
  ThreadPool pool(n_threads());
  const auto ops = make_cpu_ops(pool, level);
  AttentionShape shape{16, 4, 256, 32, type, type};
  const AttentionLayer tokens(random, shape, std::max(n, 64));
  // The tokens' inputs serve at any position; only the cache has the context's length.
  const int n_layers = context <= 4096 ? 8 : 2;
  cache::KvCache layers(
      std::make_shared<cache::KvPagePool>(cache::KvPageShape{n_layers, 4, 256, {type, type}}),
      context + n);
  layers.prepare(0, context + n);
  for (int i = 0; i < n_layers; ++i) {
    for (int pos = 0; pos < context + n; pos += 64) {
      const int count = std::min(64, context + n - pos);
      ops->store_kv({.k = tokens.k.data(),
                     .v = tokens.v.data(),
                     .k_norm = tokens.k_norm.data(),
                     .eps = 1e-6F,
                     .rope = tokens.angles(0),
                     .n = count,
                     .first_pos = pos,
                     .kv = layers.view(i)});
    }
  }
  std::vector<float> out(static_cast<std::size_t>(n) * 16 * 256);
  int i = 0;
  for (auto _ : state) {
    ops->attend({.q_gate = tokens.q_gate.data(),
                 .q_norm = tokens.q_norm.data(),
                 .eps = 1e-6F,
                 .rope = tokens.angles(0),
                 .n = n,
                 .first_pos = context,
                 .n_heads = 16,
                 .kv = layers.view(i++ % n_layers),
                 .out = out.data()});
    benchmark::DoNotOptimize(out.data());
  }
  const auto calls = static_cast<double>(state.iterations());
  const double keys = context + 0.5 * (n + 1);  // that a query sees on average
  const double cache_bytes =
      2.0 * 4 * (context + n) * static_cast<double>(quant::row_bytes(type, 256));
  state.counters["cache_GB/s"] =
      benchmark::Counter(calls * cache_bytes * 1e-9, benchmark::Counter::kIsRate);
  state.counters["GFLOP/s"] =
      benchmark::Counter(calls * n * 16 * keys * 4 * 256 * 1e-9, benchmark::Counter::kIsRate);
  state.counters["s/token_8_layers"] =
      benchmark::Counter(calls * n / 8, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void register_all() {
  for (CpuLevel level : available_cpu_levels()) {
    if (level == CpuLevel::Avx512Vnni) continue;  // the mixers of the AVX-512 level
    const std::string name(cpu_level_name(level));
    benchmark::RegisterBenchmark(("DeltaNet/" + name).c_str(), bench_delta_net, level)
        ->Arg(1)
        ->Arg(5)
        ->Arg(512)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
    for (quant::Type type : {quant::Type::F16, quant::Type::Q8_0}) {
      benchmark::RegisterBenchmark(
          ("Attend/" + name + "/" + std::string(type == quant::Type::F16 ? "f16" : "q8_0")).c_str(),
          bench_attend, level, type)
          ->ArgsProduct({{512, 4096, 32768}, {1, 5, 512}})
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace
}  // namespace foretoken::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc == 2 && std::strncmp(argv[1], "--threads=", 10) == 0) {
    foretoken::kernels::n_threads() = std::max(1, std::atoi(argv[1] + 10));
  } else if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  foretoken::kernels::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
