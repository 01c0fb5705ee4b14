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
  int n_vocab = 0;  ///< token ids of a file must be below; 0: not known, any id goes
};

struct StateFileResult {
  std::uint64_t n_bytes = 0;
  std::size_t n_tokens = 0;  ///< of the longest checkpoint
};

/// Writes a file that appears whole or not at all (base/output_file.h) and that only its owner may
/// read. What the pages hold beyond a checkpoint's last position is written as zeros. Needs a page
/// and the lists of tokens and pages in memory, not the states again. Throws IoError, or
/// RequestError for a checkpoint that is not of this identity.
StateFileResult write_checkpoints(const std::string& path, const StateIdentity& identity,
                                  std::span<const CheckpointPtr> checkpoints);

struct LoadedCheckpoints {
  std::vector<CheckpointPtr> checkpoints;  ///< in the order in which they were written
  StateFileResult result;
};

/// Reads and checks all of it; pages that checkpoints shared when they were written are shared
/// again. Throws FormatError (damaged, naming section and offset), UnsupportedError (another model,
/// type or version: says which differs) or IoError; then nothing is kept. Requires pools of the
/// identity's shapes; `mtp_pool` may be null without a head.
LoadedCheckpoints read_checkpoints(const std::string& path, const StateIdentity& identity,
                                   const std::shared_ptr<KvPagePool>& kv_pool,
                                   const std::shared_ptr<KvPagePool>& mtp_pool);

/// Whether checksums are looked at. `Ignore` is for tests and fuzzers, whose changed bytes would
/// otherwise never reach the checks behind.
enum class Checksums { Verify, Ignore };

/// As read_checkpoints, from a file's bytes; `file` names them in error texts.
LoadedCheckpoints parse_checkpoints(std::span<const std::byte> bytes, const std::string& file,
                                    const StateIdentity& identity,
                                    const std::shared_ptr<KvPagePool>& kv_pool,
                                    const std::shared_ptr<KvPagePool>& mtp_pool,
                                    Checksums checksums = Checksums::Verify);

}  // namespace foretoken::cache
