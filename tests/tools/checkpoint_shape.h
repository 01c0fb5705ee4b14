// The published sizes of the dense Qwen3.5 family and what a checkpoint of each holds: the source
// of the full-size checkpoints that tests make for themselves, with random weights.
// Source: docs/qwen35.md, "Configuration" and "Tensors"; the names and shapes are those of the
// files on the Hugging Face Hub.
#pragma once

#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "safetensors/file.h"

namespace foretoken::testing {

struct VisionShape {
  int n_layers;
  int d_model;
  int n_heads;
  int d_ff;
  int n_positions;
};

struct CheckpointShape {
  std::string_view name;  ///< as on the command line
  int d_model;
  int n_layers;
  int d_ff;
  int n_heads;
  int n_kv_heads;
  int head_dim;
  int n_k_heads;
  int n_v_heads;
  int d_k;  ///< of keys and values of the delta net
  bool tied;
  std::array<int, 3> rope_sections;
  int n_context;
  int n_vocab;        ///< rows of the embedding
  int n_base_tokens;  ///< before the added ones
  int n_merges;
  VisionShape vision;

  int key_width() const { return n_k_heads * d_k; }
  int value_width() const { return n_v_heads * d_k; }
};

/// All shapes, small to large.
std::span<const CheckpointShape> checkpoint_shapes();
/// Throws RequestError listing the names when there is none of this one.
const CheckpointShape& checkpoint_shape(std::string_view name);

/// How random numbers of one tensor are spread; w below is standard normal.
enum class Spread {
  Matrix,      ///< w / sqrt(columns): keeps activations at their size
  Vocabulary,  ///< 4 w / sqrt(columns): logits far enough apart to have a clear winner
  Offset,      ///< w / 10: norms that are stored less one, biases
  Gain,        ///< 1 + w / 10: norms stored as they are
  Kernel,      ///< w / 2: the short convolution
  LogDecay,    ///< log of a uniform number in [1, 16): A_log
  TimeStep,    ///< w - 2: dt_bias
};

struct CheckpointTensor {
  std::string name;
  safetensors::DType type;
  std::vector<std::size_t> shape;  ///< outermost first
  Spread spread;
};

/// Which parts of a checkpoint to make.
struct CheckpointParts {
  bool mtp = true;
  bool vision = true;
};

/// In the order they go into files. BF16, but for the two vectors per delta net that the published
/// files keep in F32: A_log and the norm of the output.
std::vector<CheckpointTensor> checkpoint_tensors(const CheckpointShape& shape,
                                                 const CheckpointParts& parts);

/// config.json. A head that was lost stays announced, as fine-tuning frameworks leave it.
nlohmann::ordered_json checkpoint_config(const CheckpointShape& shape,
                                         const CheckpointParts& parts);

/// preprocessor_config.json of a checkpoint with a tower; the edges are numbers of pixels.
nlohmann::ordered_json image_config();

}  // namespace foretoken::testing
