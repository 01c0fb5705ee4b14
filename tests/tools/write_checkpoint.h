// Writes a checkpoint folder of any size as fast as the disk takes it: shards are laid out first,
// then all threads fill pieces of them with random weights. Memory: one piece per thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "checkpoint_shape.h"

namespace foretoken::testing {

struct CheckpointOptions {
  std::string shape;
  std::string folder;  ///< made when missing
  std::uint64_t seed = 1;
  CheckpointParts parts;
  /// A file that has more is split; the published checkpoints have shards of 5 GB.
  std::size_t max_shard_bytes = 5'000'000'000;
  /// Matrices of the trunk and the tower stay holes in the file, all zeros: for a base model that
  /// only its head is wanted of, at a fiftieth of the room on disk.
  bool hollow = false;
  int n_threads = 4;
};

struct CheckpointReport {
  std::size_t n_files = 0;
  std::size_t n_tensors = 0;
  std::size_t weight_bytes = 0;
};

/// Writes weights (with an index where there are several files), config.json, the tokenizer's files
/// and the chat template. Unlike the program's outputs these are neither synced nor renamed into
/// place: it is test data. Throws IoError or RequestError.
CheckpointReport write_checkpoint(const CheckpointOptions& options);

}  // namespace foretoken::testing
