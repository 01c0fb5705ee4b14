// The tensors of a checkpoint's text model, told apart from the rest and checked one by one against
// config.json before anything is written.
// Source: docs/convert.md, "Tensors"; model/qwen35/tensor_map.h for names and shapes.
#pragma once

#include <memory>
#include <vector>

#include "convert/hf_config.h"
#include "convert/hf_tensor.h"
#include "convert/model_source.h"
#include "safetensors/checkpoint.h"

namespace foretoken::convert {

/// Which tensors of the text model are wanted.
enum class TextParts { WithMtp, WithoutMtp, MtpOnly };

/// The tensors of the text model in the checkpoint's order, those of `head` (may be null), whose
/// MTP tensors are taken instead of the checkpoint's own, behind them. Sets config.n_mtp_layers to
/// the number of MTP layers in the result. Throws FormatError and UnsupportedError as
/// open_hf_model() says.
std::vector<TensorSource> collect_text_tensors(
    const std::shared_ptr<const safetensors::Checkpoint>& checkpoint,
    const std::shared_ptr<const safetensors::Checkpoint>& head, TextParts parts, HfConfig& config);

/// Sentence that lists the first few of many names: "'a', 'b' and 7 more".
std::string list_names(const std::vector<std::string>& names);

}  // namespace foretoken::convert
