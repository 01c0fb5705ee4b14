// One side of a graft, the base or the fine-tune, opened: a checkpoint folder, a GGUF file or a
// head-only file, seen in the same terms, so that the fit check compares like with like.
// Source: docs/graft.md; tensor names and shapes from model/qwen35/tensor_map.h.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convert/hf_config.h"
#include "convert/model_source.h"
#include "gguf/file.h"
#include "safetensors/checkpoint.h"

namespace foretoken::convert {

/// What a head depends on. Both formats state all of it.
struct ModelShape {
  int n_layers = 0;      ///< trunk layers
  int n_mtp_layers = 0;  ///< announced; whether the tensors are there is another thing
  int d_model = 0;
  int d_ff = 0;
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  int n_vocab = 0;  ///< rows of the embedding, or as announced where that is not in the file
  double rope_theta = 0.0;
  int n_rot = 0;
  std::array<int, 3> rope_sections{};
  std::string rope_scaling;  ///< "yarn 4"; empty for none
  double rms_eps = 0.0;
  bool is_tied = false;  ///< no output matrix of its own; of a head-only checkpoint, as announced
};

/// A tensor of an MTP layer. The same tensor has the same key in both formats: its GGUF name
/// without the block, "attn_q.weight", "nextn.eh_proj.weight".
struct HeadSpec {
  std::string key;
  std::vector<std::size_t> shape;  ///< outermost first
  bool optional = false;           ///< readers have a substitute: of the trunk
};

/// The tensors of the one MTP layer that a model of this shape has: the 15 that checkpoints have
/// names for, then those that only GGUF files may hold.
std::vector<HeadSpec> head_specs(const ModelShape& shape);

/// An MTP tensor as its file holds it.
struct HeadTensor {
  std::string key;
  std::string name;
  std::vector<std::size_t> shape;
  std::string type;  ///< "BF16", as its file spells it
  FileRange bytes;
  const safetensors::TensorInfo* info = nullptr;  ///< of a checkpoint; null for GGUF
  /// Its rows as GGUF has them (norms around 1); nothing for a type that cannot be read.
  std::optional<TensorSource> rows;
};

/// A norm over the query or key heads of one full-attention layer of the trunk, as GGUF has it.
struct HeadNorm {
  std::string key;  ///< "attn_q_norm.weight" or "attn_k_norm.weight"
  TensorSource rows;
};

struct GraftInput {
  std::string path;
  /// One of the two is there.
  std::shared_ptr<const safetensors::Checkpoint> checkpoint;
  std::shared_ptr<const gguf::File> file;
  std::optional<HfConfig> config;  ///< of a checkpoint
  std::string config_text;         ///< config.json as it is; of a head-only file, what it carries

  ModelShape shape;
  bool is_head_file = false;  ///< a head-only checkpoint: a file, no folder with a tokenizer
  bool has_trunk = false;
  std::vector<HeadTensor> head;    ///< in file order
  std::vector<std::string> extra;  ///< MTP tensors that the format has no place for, by name
  std::vector<HeadNorm> trunk_norms;
  std::vector<std::string> oddities;  ///< signs of a converter that changed numbers, a clause each

  bool is_gguf() const { return file != nullptr; }
  const HeadTensor* find_head_tensor(std::string_view key) const;
};

/// Opens a checkpoint folder, a GGUF file (of a split model: the first) or a head-only safetensors
/// file as `--extract` writes it. Throws IoError, FormatError or UnsupportedError with what to try:
/// adapters, other architectures, heads of more than one layer.
GraftInput open_graft_input(const std::string& path);

/// Key of a head-only safetensors file's __metadata__ that holds the base model's config.json.
inline constexpr const char* kConfigMetadataKey = "config.json";

}  // namespace foretoken::convert
