// Importance matrices: what typically goes into each weight matrix, measured on a text, so that a
// quantizer can spend its precision on the columns that matter. The trunk is run over chunks of the
// text as llama-imatrix runs it, and the MTP head over all pairs of each chunk, so that its block
// gets data too.
// Source: docs/imatrix.md; the sums are those of tools/imatrix of llama.cpp de3ff815.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/token.h"
#include "cache/kv_cache.h"
#include "engine/engine.h"
#include "eval/input_recorder.h"
#include "eval/perplexity.h"
#include "gguf/imatrix_file.h"

namespace foretoken::eval {

struct ImatrixOptions {
  int chunk_size = 512;         ///< tokens of a chunk; each starts from an empty context
  int first_chunk = 0;          ///< chunks of the text to leave out at its beginning
  int max_chunks = -1;          ///< negative: to the end of the text
  bool process_output = false;  ///< also the output matrix, where the file has one of its own
  bool perplexity = true;       ///< of the second halves of the chunks, on the way
  int n_batch = 512;            ///< tokens per pass; changes speed, not results
  cache::KvTypes kv_types = {};
};

/// A model under observation: an engine and what looks over its shoulder.
class ObservedEngine {
 public:
  /// Makes an engine from options whose `wrap_ops` is what it is given, for example
  /// `[&](engine::WrapOps wrap) { options.wrap_ops = wrap; return make_unique<Engine>(options); }`.
  using MakeEngine = std::function<std::unique_ptr<engine::Engine>(engine::WrapOps)>;
  explicit ObservedEngine(const MakeEngine& make);

  engine::Engine& engine() { return *engine_; }
  InputRecorder& recorder() { return *recorder_; }

 private:
  InputRecorder* recorder_ = nullptr;  // owned by the engine
  std::unique_ptr<engine::Engine> engine_;
};

/// Called after each chunk with (chunks done, chunks in all, perplexity so far); false stops.
using ImatrixProgress = std::function<bool(int, int, const Perplexity&)>;

/// Chunks that `collect_imatrix` takes of a text. Throws RequestError for options out of range and
/// for a text without one whole chunk after first_chunk.
int count_chunks(std::size_t n_tokens, const ImatrixOptions& options);

/// Runs a text through the model and sums up the inputs of every matrix named blk.* (and of
/// output.weight if asked for): the trunk's over all tokens, the MTP block's over all pairs of a
/// token and its successor in the same chunk. What was recorded before is forgotten. What is left
/// over behind the last whole chunk is not used. Returns the perplexity (zero scored tokens when
/// not wanted). Throws RequestError as count_chunks does, Cancelled when `progress` says so, and
/// FormatError naming the weight when inputs are not finite.
Perplexity collect_imatrix(ObservedEngine& observed, std::span<const TokenId> tokens,
                           const ImatrixOptions& options, const ImatrixProgress& progress = {});

/// What was recorded so far, as a file's contents with `dataset` as its only text. chunk_count is
/// the largest count / chunk_size, as llama-imatrix has it.
gguf::ImatrixFile make_imatrix(const InputRecorder& recorder, int chunk_size,
                               const std::string& dataset);

}  // namespace foretoken::eval
