// One tensor of a checkpoint as a source of GGUF rows: value heads reordered, norms shifted, decay
// rates computed, all a few rows at a time from the mapped file.
// Source: docs/convert.md, "What happens to the numbers"; conversion/qwen.py of llama.cpp de3ff815.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "convert/hf_config.h"
#include "convert/hf_names.h"
#include "convert/model_source.h"
#include "safetensors/checkpoint.h"

namespace foretoken::convert {

/// A tensor of an open checkpoint, which the result of the functions below keeps open.
struct HfTensor {
  std::shared_ptr<const safetensors::Checkpoint> checkpoint;
  const safetensors::TensorRef* ref = nullptr;

  const std::string& name() const { return ref->name(); }
  const std::vector<std::size_t>& shape() const { return ref->info->shape; }
  /// File and tensor, for error texts.
  std::string where() const;
};

/// The type of its numbers. Throws UnsupportedError for anything but F32, F16 and BF16.
quant::Type hf_number_type(const HfTensor& tensor);

/// Rows of a text tensor under its GGUF name and shape. Requires that shape and tensor have as many
/// elements, that the type is known to be supported and that the transformation fits the shape.
TensorSource text_source(const HfTensor& tensor, const HfTensorRule& rule,
                         std::vector<std::size_t> shape, const HfConfig& config);

/// Rows of a tensor that is taken as it is.
TensorSource plain_source(const HfTensor& tensor, std::string name, std::vector<std::size_t> shape);

/// One frame of the patch kernel [n_out, n_channels, n_frames, size, size]: the GGUF tensor
/// [n_out, n_channels, size, size]. Requires frame < n_frames.
TensorSource frame_source(const HfTensor& tensor, std::string name, std::size_t frame);

/// e^x with the bits that the reference converter writes (PyTorch's vectorised exponential, within
/// one unit in the last place); overflows to infinity, underflows to zero.
/// Source: N. Shibata, F. Petrogalli, "SLEEF: A Portable Vectorized Library of C Standard
/// Mathematical Functions", IEEE TPDS 2020; its single-precision exponential of 1.0 ULP.
float reference_exp(float x);

}  // namespace foretoken::convert
