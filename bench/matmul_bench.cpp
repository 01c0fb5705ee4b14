// Matrix products of the CPU backend: GMAC/s and GB/s of packed weights by type and number of
// tokens, from cache (one thread, a matrix that fits a core's L2) and from memory (all threads,
// over 1 GB of matrices in turn, as decoding does).
//
// The bound: one token reads every weight once, so from memory GB/s should approach what the
// machine can read, and five tokens should cost hardly more than one. From cache the bound is
// arithmetic: 128 multiply-adds a cycle and core with VNNI and two 512-bit ports. Cache rows count
// processor time; a busy sibling hardware thread still halves them.
//
// Run: matmul_bench --benchmark_filter='cache/Q4_K' --benchmark_repetitions=5
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/random_blocks.h"

namespace foretoken::kernels {
namespace {

using quant::Type;

constexpr Type kTypes[] = {Type::Q4_K, Type::Q5_K, Type::Q6_K, Type::Q8_0, Type::BF16};
constexpr int kTokens[] = {1, 2, 3, 4, 5, 6, 8, 12, 16, 64, 256};
constexpr int kWidth = 4096;

struct Case {
  CpuLevel level;
  Type type;
  int n_threads;
  int rows;
  std::size_t total_bytes;  ///< of all matrices together, at least
};

void measure(benchmark::State& state, const Case& c, int n) {
  ThreadPool pool(c.n_threads);
  const auto ops = make_cpu_ops(pool, c.level);
  const testing::RandomMatrix source = testing::random_matrix(c.type, c.rows, kWidth, 1);
  std::vector<std::unique_ptr<Matrix>> matrices;
  std::size_t total = 0;
  do {
    matrices.push_back(ops->pack(source.source()));
    total += matrices.back()->size_bytes();
  } while (total < c.total_bytes);
  const std::size_t n_rows = static_cast<std::size_t>(n);
  const std::vector<float> x = testing::random_activations(n_rows * kWidth, 2);
  std::vector<float> out(n_rows * static_cast<std::size_t>(c.rows));
  std::size_t next = 0;
  for (auto _ : state) {
    const Projection projection{matrices[next].get(), out.data(), false};
    ops->project({x.data(), n, kWidth, nullptr, 0.0F}, {&projection, 1});
    benchmark::ClobberMemory();
    next = (next + 1) % matrices.size();
  }
  const auto rounds = static_cast<double>(state.iterations());
  const double macs = static_cast<double>(n) * c.rows * kWidth;
  state.counters["GMAC/s"] = benchmark::Counter(rounds * macs * 1e-9, benchmark::Counter::kIsRate);
  state.counters["GB/s"] = benchmark::Counter(
      rounds * static_cast<double>(matrices[0]->size_bytes()) * 1e-9, benchmark::Counter::kIsRate);
}

void register_cases() {
  const auto n_cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  for (CpuLevel level : available_cpu_levels()) {
    if (level == CpuLevel::Scalar) continue;
    for (Type type : kTypes) {
      const Case in_cache{level, type, 1, 384, 0};
      const Case in_memory{level, type, n_cores, 4096, std::size_t{1} << 30};
      for (int n : kTokens) {
        const std::string tail = "/" + std::string(quant::type_info(type).name) + "/" +
                                 std::string(cpu_level_name(level)) +
                                 "/tokens:" + std::to_string(n);
        benchmark::RegisterBenchmark(("cache" + tail).c_str(), [=](benchmark::State& state) {
          measure(state, in_cache, n);
        })->Unit(benchmark::kMicrosecond);
        benchmark::RegisterBenchmark(("memory" + tail).c_str(),
                                     [=](benchmark::State& state) { measure(state, in_memory, n); })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

}  // namespace
}  // namespace foretoken::kernels

int main(int argc, char** argv) {
  foretoken::kernels::register_cases();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
