// Speed of the tokenizer on a real vocabulary and a real text, in bytes per second.
//   tokenizer_bench MODEL.gguf TEXT [Google Benchmark options]
// "encode" keeps its word cache between repetitions, as a server does; "merge" cuts the text into
// pieces of one length and compares the two ways of merging, which is where the border between
// them in bpe.cpp comes from.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "base/error.h"
#include "gguf/file.h"
#include "tokenizer/bpe.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/token_table.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace foretoken;
using tokenizer::Bpe;
using tokenizer::Tokenizer;

void encode(benchmark::State& state, const Tokenizer& tokenizer, const std::string& text) {
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer.encode(text));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

using Merge = void (Bpe::*)(std::string_view, std::vector<TokenId>&) const;

void merge(benchmark::State& state, const Bpe& bpe, const std::string& text, Merge how) {
  const auto length = static_cast<std::size_t>(state.range(0));
  constexpr std::size_t kMaxBytes = 1 << 20;
  const std::size_t size = std::min(text.size(), kMaxBytes) / length * length;
  std::vector<TokenId> ids;
  for (auto _ : state) {
    ids.clear();
    for (std::size_t pos = 0; pos < size; pos += length) {
      (bpe.*how)(std::string_view(text).substr(pos, length), ids);
    }
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(size));
}

void load(benchmark::State& state, const gguf::File& file) {
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::from_gguf(file));
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 3) {
    std::fputs("usage: tokenizer_bench MODEL.gguf TEXT\n", stderr);
    return 2;
  }
  try {
    const auto file = gguf::File::open(argv[1]);
    const auto tokenizer = Tokenizer::from_gguf(file);
    const auto vocabulary = tokenizer::read_gguf_vocabulary(file);
    const Bpe bpe(vocabulary, tokenizer::TokenTable(vocabulary));
    std::ifstream in(argv[2], std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    if (text.size() < 1024) throw IoError("the text is missing or below 1 kB");
    const auto in_ms = [](auto* bench) { return bench->Unit(benchmark::kMillisecond); };
    in_ms(benchmark::RegisterBenchmark("load", load, std::cref(file)));
    in_ms(benchmark::RegisterBenchmark("encode", encode, std::cref(tokenizer), std::cref(text)));
    const auto add = [&](const char* name, Merge how) {
      auto* bench = benchmark::RegisterBenchmark(name, merge, std::cref(bpe), std::cref(text), how);
      for (const int length : {4, 8, 16, 24, 32, 48, 64, 96, 128}) in_ms(bench)->Arg(length);
    };
    add("merge/picked", &Bpe::encode);
    add("merge/heap", &Bpe::encode_long);
    benchmark::RunSpecifiedBenchmarks();
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
