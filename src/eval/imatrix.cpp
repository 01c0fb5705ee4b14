#include "eval/imatrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/session.h"
#include "model/qwen35/mtp_head.h"

namespace foretoken::eval {
namespace {

constexpr int kShortestChunk = 4;

std::size_t z(int n) { return static_cast<std::size_t>(n); }

/// Runs the MTP head over the pairs of a chunk, batch by batch behind the trunk.
class HeadRunner {
 public:
  HeadRunner(const engine::Engine& engine, const ImatrixOptions& options)
      : engine_(engine),
        workspace_(engine.config(), options.n_batch),
        kv_(std::make_shared<cache::KvPagePool>(cache::KvPageShape{
                1, engine.config().n_kv_heads, engine.config().head_dim, options.kv_types}),
            options.chunk_size),
        hidden_(z(options.n_batch) * z(engine.config().d_model)) {}

  /// `hidden` [n, d_model]: the trunk's rows of positions first_pos ..; `next` the tokens after
  /// them, one fewer where the chunk ends.
  void run(int first_pos, const float* hidden, std::span<const TokenId> next) {
    if (next.empty()) return;
    std::vector<const float*> rows;
    for (std::size_t i = 0; i < next.size(); ++i) {
      rows.push_back(hidden + i * z(engine_.config().d_model));
    }
    kv_.prepare(first_pos, first_pos + static_cast<int>(next.size()));
    pairs_.clear();
    pairs_.add_text(first_pos, rows, next, kv_);
    engine_.mtp_head()->forward(pairs_, workspace_, hidden_.data());
    if (engine_.weights().mtp()->own_output) read_own_output(next.size());
  }

 private:
  // The inputs of an output matrix of the head's own are its hidden rows, whichever of the matrix's
  // rows they are multiplied with, so the fewest will do.
  void read_own_output(std::size_t n) {
    const int n_rows = std::min(kernels::kRowGroup, engine_.config().n_vocab);
    std::array<float, kernels::kRowGroup> unused{};
    for (std::size_t row = 0; row < n; ++row) {
      engine_.mtp_head()->logits(hidden_.data() + row * z(engine_.config().d_model), 1,
                                 std::array{kernels::RowRange{0, n_rows}}, unused.data());
    }
  }

  const engine::Engine& engine_;
  model::qwen35::Workspace workspace_;
  cache::KvCache kv_;
  AlignedBuffer<float> hidden_;  // [n_batch, d_model] h'
  model::qwen35::MtpHead::Pairs pairs_;
};

/// Runs chunks through trunk and head.
class ChunkRunner {
 public:
  ChunkRunner(engine::Engine& engine, const ImatrixOptions& options)
      : options_(options),
        session_(engine, {.n_context = options.chunk_size,
                          .n_batch = options.n_batch,
                          .kv_types = options.kv_types,
                          .use_mtp = false,
                          .n_checkpoints = 0}) {
    if (engine.mtp_head() != nullptr) head_.emplace(engine, options);
  }

  void run(std::span<const TokenId> chunk) {
    session_.rewind(0);
    const int n = static_cast<int>(chunk.size());
    for (int begin = 0; begin < n;) {
      const int end = std::min({n, begin + options_.n_batch, begin < n / 2 ? n / 2 : n});
      run_trunk(chunk, begin, end);
      if (head_) {
        const int n_next = std::min(end, n - 1) - begin;
        head_->run(begin, session_.batch_hidden(), chunk.subspan(z(begin + 1), z(n_next)));
      }
      begin = end;
    }
  }

  const PerplexitySums& perplexity() const { return perplexity_; }

 private:
  // The second half is scored, so the cut at the middle leaves logits out that nobody wants.
  void run_trunk(std::span<const TokenId> chunk, int begin, int end) {
    const std::span<const TokenId> batch = chunk.subspan(z(begin), z(end - begin));
    const bool scored = options_.perplexity && begin >= static_cast<int>(chunk.size()) / 2;
    if (!scored && !options_.process_output) {
      session_.prefill(batch);
      return;
    }
    session_.prefill_with_logits(batch, [&](int first_pos, int n, std::span<const float> logits) {
      if (!scored) return;
      const std::size_t n_vocab = logits.size() / z(n);
      for (int row = 0; row < n; ++row) {
        const std::size_t next = z(first_pos + row + 1);
        if (next >= chunk.size()) continue;
        perplexity_.add(log_probability(logits.subspan(z(row) * n_vocab, n_vocab), chunk[next]));
      }
    });
  }

  ImatrixOptions options_;
  engine::Session session_;
  std::optional<HeadRunner> head_;
  PerplexitySums perplexity_;
};

void check_finite(const InputRecorder& recorder) {
  for (const InputRecorder::Inputs& inputs : recorder.inputs()) {
    for (std::size_t c = 0; c < inputs.sums.size(); ++c) {
      if (std::isfinite(inputs.sums[c])) continue;
      throw FormatError(
          fmt::format("the inputs of '{}' are not finite in column {}: the model computes infinity "
                      "or NaN on this text; look at the file with 'foretoken inspect'",
                      inputs.name, c));
    }
  }
}

}  // namespace

ObservedEngine::ObservedEngine(const MakeEngine& make) {
  engine_ = make([this](std::unique_ptr<kernels::Ops> ops) {
    auto recorder = std::make_unique<InputRecorder>(std::move(ops));
    recorder_ = recorder.get();
    return recorder;
  });
}

int count_chunks(std::size_t n_tokens, const ImatrixOptions& options) {
  if (options.chunk_size < kShortestChunk) {
    throw RequestError(fmt::format("chunks of {} tokens are too short; use -c {} or more",
                                   options.chunk_size, kShortestChunk));
  }
  if (options.first_chunk < 0) {
    throw RequestError(fmt::format("--chunk {} is negative; give the number of chunks to skip",
                                   options.first_chunk));
  }
  if (options.max_chunks == 0) throw RequestError("--chunks 0 leaves nothing to do; use 1 or more");
  const std::size_t n_whole = n_tokens / z(options.chunk_size);
  if (n_whole <= z(options.first_chunk)) {
    throw RequestError(fmt::format(
        "the text has {} tokens, {} whole chunks of {}, and {} of them are skipped; give a longer "
        "text or smaller chunks with -c",
        n_tokens, n_whole, options.chunk_size, options.first_chunk));
  }
  const std::size_t n = std::min<std::size_t>(n_whole - z(options.first_chunk), 1 << 30);
  return options.max_chunks < 0 ? static_cast<int>(n)
                                : std::min(static_cast<int>(n), options.max_chunks);
}

Perplexity collect_imatrix(ObservedEngine& observed, std::span<const TokenId> tokens,
                           const ImatrixOptions& options, const ImatrixProgress& progress) {
  const int n_chunks = count_chunks(tokens.size(), options);
  ImatrixOptions fitted = options;
  fitted.n_batch = std::min(options.n_batch, options.chunk_size);
  observed.recorder().watch(observed.engine().weights().file(), [&](std::string_view name) {
    return name.starts_with("blk.") || (options.process_output && name == "output.weight");
  });
  ChunkRunner runner(observed.engine(), fitted);
  for (int i = 0; i < n_chunks; ++i) {
    runner.run(
        tokens.subspan(z(options.first_chunk + i) * z(options.chunk_size), z(options.chunk_size)));
    check_finite(observed.recorder());
    if (progress && !progress(i + 1, n_chunks, runner.perplexity().result(i + 1))) {
      throw Cancelled("stopped while collecting an importance matrix");
    }
  }
  return runner.perplexity().result(n_chunks);
}

gguf::ImatrixFile make_imatrix(const InputRecorder& recorder, int chunk_size,
                               const std::string& dataset) {
  gguf::ImatrixFile out;
  out.chunk_size = static_cast<std::uint32_t>(chunk_size);
  if (!dataset.empty()) out.datasets.push_back(dataset);
  std::uint64_t most_rows = 0;
  for (const InputRecorder::Inputs& inputs : recorder.inputs()) {
    if (inputs.n_rows == 0) continue;
    gguf::ImatrixEntry& entry = out.entries[inputs.name];
    entry.count = inputs.n_rows;
    for (const double sum : inputs.sums) entry.sums.push_back(static_cast<float>(sum));
    most_rows = std::max(most_rows, inputs.n_rows);
  }
  out.chunk_count = static_cast<std::uint32_t>(most_rows / out.chunk_size);
  return out;
}

}  // namespace foretoken::eval
