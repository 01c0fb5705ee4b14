// What the prefix cache adds to a request, and how fast states go to disk and back.
//
// A search walks the tree along the prompt: 4 bytes per token are compared, so 32K tokens are 128
// KiB from the second-level cache, some microseconds. Taking a checkpoint in touches the counter of
// each of its pages: 512 of a 32K sequence and as many of the head. A file costs a pass for the
// checksum and a copy into the page cache (and, where it is real, the disk, as commit() waits for
// it). Shapes are the 9B's with f16 keys and values: 52.5 MiB of state, 2.25 MiB a page with the
// head's. Source of the expectations: docs/prefix-cache.md, docs/state-files.md.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <random>
#include <string>

#include "cache/checkpoint_file.h"
#include "cache/prefix_cache.h"
#include "cache/state_header.h"

namespace {

using namespace foretoken;
using namespace foretoken::cache;

StateIdentity identity_9b() {
  StateIdentity id;
  id.model_fingerprint = 1;
  id.kv = {8, 4, 256, {quant::Type::F16, quant::Type::F16}};
  id.mtp_kv = {1, 4, 256, {quant::Type::F16, quant::Type::F16}};
  id.delta = {16, 32, 128, 128};
  id.n_recurrent_layers = 24;
  id.d_model = 4096;
  return id;
}

std::vector<TokenId> random_tokens(std::size_t n) {
  std::mt19937 random(1);
  std::vector<TokenId> out(n);
  for (TokenId& token : out) token = static_cast<TokenId>(random() % 248'000);
  return out;
}

// A conversation as the tree sees it: n_checkpoints of a growing sequence on shared pages, which
// are one byte each here.
std::vector<CheckpointPtr> light_path(std::span<const TokenId> tokens, std::size_t n_checkpoints) {
  const StateIdentity id = identity_9b();
  KvPages kv(tokens.size() / 64);
  KvPages mtp(tokens.size() / 64);
  for (auto& page : kv) page = std::make_shared<std::byte>();
  for (auto& page : mtp) page = std::make_shared<std::byte>();
  std::vector<CheckpointPtr> out;
  for (std::size_t i = 1; i <= n_checkpoints; ++i) {
    const auto n = static_cast<std::ptrdiff_t>(tokens.size() / n_checkpoints * i / 64 * 64);
    auto c = std::make_shared<Checkpoint>();
    c->kv_shape = id.kv;
    c->mtp_shape = id.mtp_kv;
    c->tokens.assign(tokens.begin(), tokens.begin() + n);
    c->kv.assign(kv.begin(), kv.begin() + n / 64);
    c->mtp_kv.assign(mtp.begin(), mtp.begin() + n / 64);
    out.push_back(std::move(c));
  }
  return out;
}

void find(benchmark::State& state) {
  const auto tokens = random_tokens(static_cast<std::size_t>(state.range(0)));
  PrefixCache cache({.max_bytes = std::size_t{1} << 50});
  for (const CheckpointPtr& c : light_path(tokens, 40)) cache.insert(c);
  for (auto _ : state) benchmark::DoNotOptimize(cache.find(tokens, tokens.size() - 1));
}
BENCHMARK(find)->Arg(4096)->Arg(32 * 1024)->Unit(benchmark::kMicrosecond);

// The last of 40 checkpoints comes anew each time, as when a turn ends.
void insert(benchmark::State& state) {
  const auto tokens = random_tokens(static_cast<std::size_t>(state.range(0)));
  PrefixCache cache({.max_bytes = std::size_t{1} << 50});
  const auto path = light_path(tokens, 40);
  for (const CheckpointPtr& c : path) cache.insert(c);
  for (auto _ : state) {
    state.PauseTiming();
    cache.erase(tokens);
    for (std::size_t i = 0; i + 1 < path.size(); ++i) cache.insert(path[i]);
    state.ResumeTiming();
    cache.insert(path.back());
  }
}
BENCHMARK(insert)->Arg(4096)->Arg(32 * 1024)->Unit(benchmark::kMicrosecond)->Iterations(300);

// Four checkpoints of a sequence of range(0) tokens.
struct SavedState {
  explicit SavedState(int n_tokens) {
    const auto kv_pool = std::make_shared<KvPagePool>(id.kv);
    const auto mtp_pool = std::make_shared<KvPagePool>(id.mtp_kv);
    const StateSizes sizes(id);
    std::mt19937_64 random(1);
    const auto fill = [&](std::byte* at, std::size_t n) {
      for (auto* p = reinterpret_cast<std::uint64_t*>(at); n >= 8; n -= 8) *p++ = random();
    };
    KvPages kv;
    KvPages mtp;
    for (int i = 0; i < n_tokens / 64; ++i) {
      kv.push_back(kv_pool->take());
      mtp.push_back(mtp_pool->take());
      fill(kv.back().get(), sizes.kv_page);
      fill(mtp.back().get(), sizes.mtp_page);
    }
    const auto tokens = random_tokens(static_cast<std::size_t>(n_tokens));
    for (int i = 1; i <= 4; ++i) {
      const int n = n_tokens / 4 * i / 64 * 64;
      auto c = std::make_shared<Checkpoint>();
      c->kv_shape = id.kv;
      c->mtp_shape = id.mtp_kv;
      c->tokens.assign(tokens.begin(), tokens.begin() + n);
      c->kv.assign(kv.begin(), kv.begin() + n / 64);
      c->mtp_kv.assign(mtp.begin(), mtp.begin() + n / 64);
      c->recurrent.s = AlignedBuffer<float>(sizes.n_matrix);
      c->recurrent.conv = AlignedBuffer<float>(sizes.n_conv);
      c->hidden.resize(sizes.n_hidden);
      fill(reinterpret_cast<std::byte*>(c->recurrent.s.data()), sizes.n_matrix * 4);
      checkpoints.push_back(std::move(c));
    }
    path = (std::filesystem::temp_directory_path() / "foretoken_bench.state").string();
  }
  ~SavedState() { std::filesystem::remove(path); }

  StateIdentity id = identity_9b();
  std::vector<CheckpointPtr> checkpoints;
  std::string path;
};

void save(benchmark::State& state) {
  const SavedState saved(static_cast<int>(state.range(0)));
  std::uint64_t n_bytes = 0;
  for (auto _ : state) {
    n_bytes += write_checkpoints(saved.path, saved.id, saved.checkpoints).n_bytes;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(n_bytes));
}
BENCHMARK(save)->Arg(2048)->Arg(8192)->Unit(benchmark::kMillisecond)->UseRealTime();

void restore(benchmark::State& state) {
  const SavedState saved(static_cast<int>(state.range(0)));
  write_checkpoints(saved.path, saved.id, saved.checkpoints);
  const auto kv_pool = std::make_shared<KvPagePool>(saved.id.kv);
  const auto mtp_pool = std::make_shared<KvPagePool>(saved.id.mtp_kv);
  std::uint64_t n_bytes = 0;
  for (auto _ : state) {
    n_bytes += read_checkpoints(saved.path, saved.id, kv_pool, mtp_pool).result.n_bytes;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(n_bytes));
}
BENCHMARK(restore)->Arg(2048)->Arg(8192)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
