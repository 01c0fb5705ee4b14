// One forward pass of the trunk over rows of one or several sequences, readable straight down.
//
//   x = embed[token]
//   per layer:  x += Mixer(norm(x));  x += W_down(silu(W_gate y) * (W_up y)),  y = norm(x)
//   hidden = norm(x)        the vector that the output matrix and the MTP head read
// Mixer is a gated delta net or gated full attention. Only the mixers know whose row is whose: they
// go sequence by sequence, everything else takes all rows together and reads the weights once.
// Source: docs/qwen35.md; Hugging Face modeling_qwen3_5.py.
#pragma once

#include <span>
#include <vector>

#include "base/token.h"
#include "cache/kv_cache.h"
#include "cache/recurrent_state.h"
#include "kernels/ops.h"
#include "model/qwen35/rope.h"
#include "model/qwen35/weights.h"

namespace foretoken::model::qwen35 {

/// Scratch memory for batches of up to `max_tokens`, shared by all layers and by the MTP head.
struct Workspace {
  Workspace(const Config& config, int max_tokens);
  int max_tokens;
  RopeTable rope;
  AlignedBuffer<float> x;       ///< [n, d_model] residual stream
  AlignedBuffer<float> wide;    ///< [n, max(q and gate, channels)] first projection of a mixer
  AlignedBuffer<float> k;       ///< [n, n_kv_heads*head_dim], also alpha
  AlignedBuffer<float> v;       ///< [n, n_kv_heads*head_dim], also beta
  AlignedBuffer<float> gate;    ///< [n, n_v_heads*d_v] output gate of a delta net
  AlignedBuffer<float> mixed;   ///< [n, max(n_heads*head_dim, n_v_heads*d_v)] mixer output
  AlignedBuffer<float> ffn;     ///< [n, d_ff]
  AlignedBuffer<float> joined;  ///< [n, 2*d_model] MTP input: embedding and hidden, normed
};

/// A point among the rows of a sequence at which its recurrent state is copied out on the way.
struct StateCopy {
  int n_rows = 0;  ///< after this many of the part's rows, 1 .. PassPart::n
  cache::RecurrentState::Snapshot* into = nullptr;  ///< from RecurrentState::make_snapshot
};

/// The rows of a pass that belong to one sequence, and how they continue it. Parts follow one
/// another in the order of the rows; a sequence may appear only once.
struct PassPart {
  int n = 0;                                         ///< rows, at least 1
  int first_pos = 0;                                 ///< cache position of the first
  const cache::KvCache* kv = nullptr;                ///< prepared for these positions
  const cache::RecurrentState* recurrent = nullptr;  ///< not read by the MTP head
  int n_fold = 0;       ///< uncommitted tokens of the last pass to commit first
  bool commit = false;  ///< whether the recurrent states move past the new tokens
  std::span<const StateCopy> copies = {};  ///< ascending; only where `commit`
};

class TextModel {
 public:
  /// Borrows both; they must outlive the model.
  TextModel(const Weights& weights, kernels::Ops& ops) : weights_(weights), ops_(ops) {}

  const Config& config() const { return weights_.config(); }

  /// Runs `tokens` (1 .. workspace.max_tokens of them, all parts together; at most kMaxPending a
  /// part unless committed) at their rotary positions and writes the normed hidden rows
  /// [n, d_model].
  void forward(std::span<const TokenId> tokens, std::span<const RopePosition> rope,
               std::span<const PassPart> parts, Workspace& workspace, float* hidden) const;

  /// Commits `n_fold` pending tokens to the recurrent states, which then stand at `pos`.
  void fold(int pos, int n_fold, const cache::RecurrentState& recurrent) const;

  /// Logits of hidden rows: out [n, n_vocab].
  void logits(const float* hidden, int n, float* out) const;

 private:
  const Weights& weights_;
  kernels::Ops& ops_;
};

/// Rows of all parts.
int count_rows(std::span<const PassPart> parts);

/// An attention layer and the place of its keys and values in a cache.
struct AttentionLayer {
  const Layer& layer;
  int kv_layer = 0;
};

/// Normalises, rotates and stores workspace.k and workspace.v [n, n_kv_heads*head_dim], by
/// workspace.rope.
void store_keys_and_values(kernels::Ops& ops, const Config& config, const AttentionLayer& at,
                           std::span<const PassPart> parts, Workspace& workspace);

/// Gated full attention of rows x [n, d_model] in place: stores their keys and values, attends,
/// adds to x. Shared by the trunk and the MTP head.
void attention_layer(kernels::Ops& ops, const Config& config, const AttentionLayer& at,
                     std::span<const PassPart> parts, Workspace& workspace);

/// Feed-forward half of a layer, in place on workspace.x.
void ffn_layer(kernels::Ops& ops, const Config& config, const Layer& layer, int n,
               Workspace& workspace);

}  // namespace foretoken::model::qwen35
