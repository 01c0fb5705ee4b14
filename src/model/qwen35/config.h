// What a Qwen3.5 file says about its own shape, read from GGUF metadata and checked once, so that
// nothing below has to doubt a dimension.
// Source: docs/qwen35.md, "Configuration"; key names as llama.cpp's converter writes them.
#pragma once

#include <array>
#include <vector>

#include "gguf/file.h"
#include "kernels/delta_net_state.h"

namespace foretoken::model::qwen35 {

/// Shape of a dense Qwen3.5 text model.
struct Config {
  int n_layers = 0;                    ///< trunk layers; the MTP layers are not counted
  int n_mtp_layers = 0;                ///< MTP layers in the file; their blocks follow the trunk's
  int d_model = 0;                     ///< width of the residual stream
  int d_ff = 0;                        ///< width of the feed-forward layer
  int n_heads = 0;                     ///< query heads of full attention
  int n_kv_heads = 0;                  ///< key/value heads of full attention
  int head_dim = 0;                    ///< width of a head (not d_model / n_heads)
  int n_rot = 0;                       ///< rotated dimensions of a head; n_rot / 2 pairs
  std::array<int, 3> rope_sections{};  ///< pairs that follow time, height, width
  float rope_base = 0.0F;
  float eps = 0.0F;  ///< of every RMS norm
  int n_vocab = 0;   ///< rows of the embedding, padding rows included
  int n_context_train = 0;
  kernels::DeltaNetShape delta;
  std::vector<bool> is_recurrent;  ///< [n_layers] true: delta net, false: full attention

  int n_recurrent_layers() const;
  int n_attention_layers() const { return n_layers - n_recurrent_layers(); }
};

/// Reads and checks the configuration. Throws UnsupportedError for another architecture or a
/// variant this engine has no code for, FormatError for values that contradict each other; the
/// text names the file and the key.
Config read_config(const gguf::File& file);

}  // namespace foretoken::model::qwen35
