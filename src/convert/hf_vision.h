// The image tower of a checkpoint: its tensors for a vision file (mmproj) and the statistics its
// input is normalised with.
// Source: docs/convert.md, "Vision file"; conversion/qwen3vl.py of llama.cpp de3ff815.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "convert/hf_config.h"
#include "convert/hf_keys.h"
#include "convert/model_source.h"
#include "safetensors/checkpoint.h"

namespace foretoken::convert {

/// The tower's tensors in the checkpoint's order; the patch kernel becomes two, one a frame. Throws
/// FormatError for missing, unknown or misshapen tensors and when config.json has no vision_config,
/// UnsupportedError for number types and variants without code.
std::vector<TensorSource> collect_vision_tensors(
    const std::shared_ptr<const safetensors::Checkpoint>& checkpoint, const HfConfig& config);

/// Reads preprocessor_config.json or, with the last word, processor_config.json. Throws FormatError
/// when neither says.
ImageStatistics read_image_statistics(const std::string& folder);

}  // namespace foretoken::convert
