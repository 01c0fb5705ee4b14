// Which type each tensor of a quantized file gets: llama-quantize's mixtures as a function of
// names, shapes and options, so that a file can be planned, and its size known, without reading a
// weight. Some layers get more bits than others; which ones is decided by counting tensors in file
// order. Source: docs/quantize.md, "Which tensor gets which type"; src/llama-quant.cpp of llama.cpp
// de3ff815 as far as it concerns dense models of the qwen35 architecture.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convert/file_type.h"
#include "convert/model_source.h"
#include "convert/type_overrides.h"
#include "gguf/metadata.h"
#include "quant/type.h"

namespace foretoken::convert {

/// What a mixture asks of a model besides its tensors.
struct ModelFacts {
  int n_layers = 0;      ///< block_count: blocks of MTP heads included
  int n_mtp_layers = 0;  ///< nextn_predict_layers: the last blocks
  int gqa = 0;           ///< query heads that share a key head; 0 where there is none
};

/// Throws UnsupportedError unless the keys are those of a dense Qwen3.5 text model, FormatError for
/// missing or contradicting ones.
ModelFacts read_model_facts(const gguf::Metadata& metadata);
/// The same for keys on their way into a file; `origin` names them in error texts.
ModelFacts read_model_facts(const gguf::Writer& keys, const std::string& origin);

struct RecipeOptions {
  bool copy = false;          ///< every tensor keeps its type; the file type is ignored
  bool pure = false;          ///< no mixture: the base type everywhere
  bool leave_output = false;  ///< output.weight keeps its type
  std::optional<quant::Type> output_type = std::nullopt;     ///< of output.weight
  std::optional<quant::Type> embedding_type = std::nullopt;  ///< of token_embd.weight
  TypeOverrides overrides = {};  ///< ignored by F32, F16 and BF16, as llama-quantize does
  bool has_imatrix = false;      ///< some mixtures are braver with an importance matrix

  /// Ours: at least 8 bits for matrices of the MTP block and for ssm_alpha and ssm_beta. The head's
  /// acceptance and the decay of the delta net feel coarse weights most and are small. Types by
  /// hand win; weights that are quantized already stay as they are.
  bool protect_mtp = false;
  /// Ours: a type by hand does not shift the mixture of later layers. Off, it does, as in
  /// llama-quantize.
  bool stable_mixture = false;
};

struct TypeChoice {
  quant::Type type = quant::Type::F32;
  /// Set when rows do not fit blocks of the type that was wanted.
  std::optional<quant::Type> fallback_from = std::nullopt;
  /// llama-quantize refuses this tensor without importances, because the result would be garbage.
  bool needs_importance = false;
};

/// A type for each tensor, in order. `tensors` must be in the order of the file to write; only
/// names, shapes and types are looked at. Throws UnsupportedError, naming the tensor, when a type
/// has no fallback for its shape.
std::vector<TypeChoice> choose_types(const FileType& file_type, const ModelFacts& model,
                                     std::span<const TensorSource> tensors,
                                     const RecipeOptions& options);

/// N of "blk.N.", or -1: llama-quantize's first sorting key.
int layer_of(std::string_view tensor_name);

}  // namespace foretoken::convert
