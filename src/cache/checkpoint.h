// A point of a timeline from which a sequence can go on: for a hybrid model that is keys, values,
// recurrent state and the row the MTP head still has to read, all at the same length, because one
// without the others is never valid. Keys and values are pages held by reference, so a checkpoint
// costs one recurrent state and, at most, one page that nobody else holds.
#pragma once

#include <memory>
#include <vector>

#include "base/token.h"
#include "cache/kv_cache.h"
#include "cache/recurrent_state.h"

namespace foretoken::cache {

/// Immutable once made; shared between sequences and the prefix cache.
struct Checkpoint {
  KvPageShape kv_shape;         ///< of the pages in kv
  KvPageShape mtp_shape;        ///< of the pages in mtp_kv
  std::vector<TokenId> tokens;  ///< the whole sequence up to here
  KvPages kv;                   ///< pages of all positions below tokens.size()
  KvPages mtp_kv;               ///< the head's pages; empty without a head
  RecurrentState::Snapshot recurrent;
  std::vector<float> hidden;  ///< [d_model] normed hidden row of the last token

  /// Bytes of what only a checkpoint owns: state, row, token ids. Pages are counted by their holder
  /// (a page may be shared).
  std::size_t own_bytes() const;
};

using CheckpointPtr = std::shared_ptr<const Checkpoint>;

}  // namespace foretoken::cache
