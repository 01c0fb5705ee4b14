// Checkpoints on disk: slot files and the persistent prefix cache. One file holds the checkpoints
// of one path or of a whole tree, each page once. Nothing is trusted on the way back: magic, format
// version, the model's fingerprint, shapes, counts, sizes and a checksum per section are checked
// before anything is allocated from them.
// Format: docs/state-files.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/checkpoint.h"

namespace foretoken::cache {

/// What a state belongs to: a file restores only into the same.
struct StateIdentity {
  std::uint64_t model_fingerprint = 0;  ///< hyper-parameters, tensor types, tokenizer
  KvPageShape kv;
  KvPageShape mtp_kv;  ///< n_layers 0: no head
  kernels::DeltaNetShape delta;
  int n_recurrent_layers = 0;
  int d_model = 0;
};

struct StateFileResult {
  std::uint64_t n_bytes = 0;
  std::size_t n_tokens = 0;  ///< of the longest checkpoint
};

/// Writes a file that appears whole or not at all (base/output_file.h). Throws IoError.
StateFileResult write_checkpoints(const std::string& path, const StateIdentity& identity,
                                  std::span<const CheckpointPtr> checkpoints);

/// Reads and checks all of it. Throws FormatError (damaged, naming section and offset),
/// UnsupportedError (another model, type or version: says which differs) or IoError.
struct LoadedCheckpoints {
  std::vector<CheckpointPtr> checkpoints;
  StateFileResult result;
};
LoadedCheckpoints read_checkpoints(const std::string& path, const StateIdentity& identity,
                                   const std::shared_ptr<KvPagePool>& kv_pool,
                                   const std::shared_ptr<KvPagePool>& mtp_pool);

}  // namespace foretoken::cache
