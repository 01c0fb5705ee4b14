// The qwen35.* and clip.* keys of a model file from a checkpoint's configuration, in the order of
// llama.cpp's converter.
// Source: docs/convert.md, "Model keys"; conversion/base.py, qwen.py and qwen3vl.py of llama.cpp
// de3ff815.
#pragma once

#include <array>
#include <cstdint>

#include "convert/hf_config.h"
#include "gguf/writer.h"

namespace foretoken::convert {

/// Keys of a text model with config.n_mtp_layers MTP layers, general.file_type among them.
void write_text_keys(const HfConfig& config, std::uint32_t file_type, gguf::Writer& keys);

/// How the image tower wants its input, of preprocessor_config.json.
struct ImageStatistics {
  std::array<float, 3> mean{};
  std::array<float, 3> deviation{};
};

/// Keys of a vision file. Requires config.vision.
void write_vision_keys(const HfConfig& config, const ImageStatistics& image,
                       std::uint32_t file_type, gguf::Writer& keys);

}  // namespace foretoken::convert
