// Names of a checkpoint's tensors: exports of the same model differ in their prefixes, and a GGUF
// file has names of its own.
// Source: docs/convert.md, "Tensors"; conversion/qwen.py and gguf-py's tensor mapping of llama.cpp
// de3ff815.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "convert/hf_config.h"

namespace foretoken::convert {

/// Which part of the model a tensor belongs to.
enum class HfPart {
  Trunk,    ///< embedding, layers, final norm, language model head
  Mtp,      ///< the head that predicts further tokens
  Vision,   ///< the image tower
  Ignored,  ///< buffers that frameworks save and nobody reads
};

struct HfName {
  HfPart part = HfPart::Trunk;
  /// Without the prefixes that differ between exports: "embed_tokens.weight",
  /// "layers.3.mlp.up_proj.weight", "norm.weight", "lm_head.weight"; "mtp.fc.weight";
  /// "visual.pos_embed.weight".
  std::string canonical;
};

/// Reads any of the spellings `model.language_model.X`, `language_model.model.X`, `model.X`, `X`,
/// `language_model.lm_head.weight`, `model.mtp.X`, `model.visual.X`. A name that fits nothing comes
/// back as it is, as a part of the trunk.
HfName canonical_name(std::string_view name);

/// What happens to a tensor's numbers on their way into the file. H = value heads, in HF grouped by
/// key head and in GGUF tiled: new head j * n_k_heads + k is old head k * r + j, with r value heads
/// a key head.
enum class HfTransform {
  None,
  PlusOne,       ///< norm weights: HF stores them around 0
  DecayRate,     ///< [H]: -exp(x), heads reordered
  HeadVector,    ///< [H]: heads reordered
  HeadRows,      ///< [H, n]: rows reordered
  ValueRows,     ///< [H * d_v, n]: blocks of d_v rows reordered
  ConvRows,      ///< [2 * key_width + H * d_v, n]: the same behind queries and keys
  ValueColumns,  ///< [n, H * d_v]: blocks of d_v columns reordered
};

/// A text tensor's name in the GGUF file and its transformation.
struct HfTensorRule {
  std::string name;
  HfTransform transform = HfTransform::None;
};

/// For a canonical name of the trunk or the MTP head; nothing for a name that no dense Qwen3.5
/// model has. Whether it fits the config (layer count, kind of layer) is not looked at.
[[nodiscard]] std::optional<HfTensorRule> find_text_rule(std::string_view canonical,
                                                         const HfConfig& config);

/// The canonical name that becomes this GGUF name; the inverse of find_text_rule().
[[nodiscard]] std::optional<std::string> find_hf_name(std::string_view gguf_name,
                                                      const HfConfig& config);

}  // namespace foretoken::convert
