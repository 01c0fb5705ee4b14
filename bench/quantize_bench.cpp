// Encoding of weights into block formats: weights per second of one thread, per type and level, on
// BF16-rounded normal weights, 64 rows of 4096 (1 MB in, so that it stays in the second cache).
//
// Bounds. Q8_0, F16 and BF16 read 4 bytes a weight and write 1 or 2: at 20 GB/s from memory, about
// 4 G weights/s, less than what one thread does here. The searches are bound by arithmetic: an
// AVX-512 core that starts two operations on 16 lanes per cycle makes 32 per cycle, and Q4_K spends
// 18 on each of 32 weights in each of 21 trials, 12 cycles a weight; Q6_K 10 in each of 18, 6
// cycles.
//   quantize_bench --benchmark_repetitions=5 --benchmark_filter='Q4_K'
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "base/half.h"
#include "quant/quantize.h"

namespace foretoken::quant {
namespace {

constexpr std::size_t kRows = 64;
constexpr std::size_t kCols = 4096;

const std::vector<float>& weights() {
  static const std::vector<float> x = [] {
    std::mt19937 rng(1);
    std::normal_distribution<float> normal(0.0F, 0.02F);
    std::vector<float> out(kRows * kCols);
    for (float& v : out) v = bf16_to_f32(f32_to_bf16(normal(rng)));
    return out;
  }();
  return x;
}

const std::vector<float>& importance() {
  static const std::vector<float> q = [] {
    std::mt19937 rng(2);
    std::lognormal_distribution<float> spread(0.0F, 1.0F);
    std::vector<float> out(kCols);
    for (float& v : out) v = spread(rng);
    return out;
  }();
  return q;
}

void quantize(benchmark::State& state, Type type, EncodeLevel level, bool weighted) {
  const std::vector<float>& x = weights();
  const float* q = weighted ? importance().data() : nullptr;
  std::vector<std::byte> out(kRows * row_bytes(type, kCols));
  for (auto _ : state) {
    quantize_rows(type, x.data(), kRows, kCols, q, out.data(), level);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows * kCols));
}

void register_all() {
  struct Level {
    EncodeLevel level;
    const char* name;
  };
  constexpr Level kLevels[] = {{EncodeLevel::Scalar, "scalar"},
                               {EncodeLevel::Avx2, "avx2"},
                               {EncodeLevel::Avx512, "avx512"}};
  for (std::uint32_t id = 0; id < 64; ++id) {
    if (!find_type(id)) continue;
    const auto type = static_cast<Type>(id);
    if (!can_quantize(type)) continue;
    for (const Level& level : kLevels) {
      if (level.level > best_encode_level()) continue;
      for (const bool weighted : {false, true}) {
        if (weighted && !uses_importance(type)) continue;
        const std::string name =
            std::string(type_info(type).name) + '/' + level.name + (weighted ? "/importance" : "");
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          quantize(state, type, level.level, weighted);
        })->Unit(benchmark::kMillisecond);
      }
    }
  }
}

}  // namespace
}  // namespace foretoken::quant

int main(int argc, char** argv) {
  foretoken::quant::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
