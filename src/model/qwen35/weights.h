// The weights of a Qwen3.5 model in a backend's layout: one resident copy, packed while the file is
// read once front to back, file pages given back behind it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "gguf/file.h"
#include "kernels/ops.h"
#include "model/qwen35/config.h"

namespace foretoken::model::qwen35 {

using MatrixPtr = std::unique_ptr<kernels::Matrix>;

/// Gated full attention.
struct AttentionWeights {
  MatrixPtr q;                  ///< [n_heads*2*head_dim, d_model]: per head query, then gate
  MatrixPtr k;                  ///< [n_kv_heads*head_dim, d_model]
  MatrixPtr v;                  ///< [n_kv_heads*head_dim, d_model]
  MatrixPtr out;                ///< [d_model, n_heads*head_dim]
  AlignedBuffer<float> q_norm;  ///< [head_dim]
  AlignedBuffer<float> k_norm;  ///< [head_dim]
};

/// Gated DeltaNet.
struct DeltaNetWeights {
  MatrixPtr qkv;                 ///< [n_channels, d_model]
  MatrixPtr gate;                ///< [n_v_heads*d_v, d_model]
  MatrixPtr beta;                ///< [n_v_heads, d_model]
  MatrixPtr alpha;               ///< [n_v_heads, d_model]
  MatrixPtr out;                 ///< [d_model, n_v_heads*d_v]
  AlignedBuffer<float> conv;     ///< [n_channels, 4]
  AlignedBuffer<float> dt_bias;  ///< [n_v_heads]
  AlignedBuffer<float> a;        ///< [n_v_heads], -exp(A_log)
  AlignedBuffer<float> norm;     ///< [d_v]
};

/// One decoder layer: exactly one of the mixers is set.
struct Layer {
  std::optional<DeltaNetWeights> delta_net;
  std::optional<AttentionWeights> attention;
  AlignedBuffer<float> attn_norm;  ///< [d_model]
  AlignedBuffer<float> ffn_norm;   ///< [d_model]
  MatrixPtr ffn_gate;              ///< [d_ff, d_model]
  MatrixPtr ffn_up;                ///< [d_ff, d_model]
  MatrixPtr ffn_down;              ///< [d_model, d_ff]
};

/// The multi-token-prediction head: one attention layer between a joining projection and a norm.
struct MtpWeights {
  MatrixPtr eh_proj;                 ///< [d_model, 2*d_model]: embedding half first
  AlignedBuffer<float> embed_norm;   ///< [d_model], nextn.enorm
  AlignedBuffer<float> hidden_norm;  ///< [d_model], nextn.hnorm
  Layer layer;
  AlignedBuffer<float> head_norm;  ///< [d_model], nextn.shared_head_norm or the trunk's output_norm
  MatrixPtr own_output;            ///< only where the file has nextn.shared_head_head
  const gguf::TensorInfo* own_embedding = nullptr;  ///< only where it has nextn.embed_tokens
};

/// Progress of loading: bytes packed so far and in all.
using LoadProgress = std::function<void(std::size_t done_bytes, std::size_t total_bytes)>;

/// A loaded model. Immutable afterwards; the file stays mapped for embedding rows.
class Weights {
 public:
  /// Checks the file against the tensor map, scans every scale for NaN and infinity, and packs.
  /// `pool` and `ops` are used during loading; `ops` must outlive the weights. Throws as
  /// read_config and check_tensors do, and FormatError naming a tensor with invalid values.
  /// `head`: a file of its own with the MTP head (`convert --mtp` makes such), used instead of the
  /// one in `file`; FormatError or UnsupportedError when it belongs to another shape of model.
  Weights(gguf::File file, kernels::Ops& ops, ThreadPool& pool, const LoadProgress& progress = {},
          std::optional<gguf::File> head = {});

  const gguf::File& file() const { return file_; }
  /// Null where the head, if any, is in file().
  const gguf::File* head_file() const { return head_file_ ? &*head_file_ : nullptr; }
  const Config& config() const { return config_; }
  const std::vector<Layer>& layers() const { return layers_; }
  const float* output_norm() const { return output_norm_.data(); }
  const kernels::Matrix& output() const { return *output_; }
  /// The head whose layer comes first in the file, if there is one.
  const MtpWeights* mtp() const { return mtp_ ? &*mtp_ : nullptr; }
  /// Memory held by packed matrices.
  std::size_t packed_bytes() const { return packed_bytes_; }

  /// Decodes embedding rows of `tokens` into out [tokens, d_model], from the trunk's table or the
  /// one given. Requires 0 <= token < n_vocab.
  void embed(std::span<const std::int32_t> tokens, float* out,
             const gguf::TensorInfo* table = nullptr) const;

 private:
  class Loader;

  gguf::File file_;
  std::optional<gguf::File> head_file_;
  Config config_;
  std::vector<Layer> layers_;
  AlignedBuffer<float> output_norm_;
  MatrixPtr output_;
  std::optional<MtpWeights> mtp_;
  const gguf::TensorInfo* embedding_ = nullptr;
  std::size_t packed_bytes_ = 0;
};

}  // namespace foretoken::model::qwen35
