// The one list of tensor names and shapes of a Qwen3.5 GGUF file. The loader checks a file against
// it, `inspect` reports by it, and the converter will write by it.
// Source: docs/qwen35.md, "Tensors"; names as in llama.cpp's gguf-py tensor mapping.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/qwen35/config.h"

namespace foretoken::model::qwen35 {

/// One tensor a file must or may have.
struct TensorSpec {
  std::string name;
  std::vector<std::size_t> shape;  ///< outermost first
  bool required = true;
};

/// Name of a tensor of block `layer`: block_tensor(3, "attn_norm.weight") =
/// "blk.3.attn_norm.weight".
std::string block_tensor(int layer, const char* name);

/// Tensors of the trunk, file order not implied.
std::vector<TensorSpec> trunk_tensors(const Config& config);

/// Tensors of MTP layer `index` (block n_layers + index).
std::vector<TensorSpec> mtp_tensors(const Config& config, int index);

/// Checks that the file holds exactly these tensors, in these shapes and in decodable types.
/// Throws FormatError or UnsupportedError naming the file, the tensor, what was expected and found.
void check_tensors(const gguf::File& file, const Config& config);

/// Checks that `head` holds an MTP head for the model of `config`, which `model` was read as, and
/// returns how many MTP layers it has (1 or more). Its trunk tensors, if any, are not looked at.
/// Throws as check_tensors.
int check_head_file(const gguf::File& head, const gguf::File& model, const Config& config);

}  // namespace foretoken::model::qwen35
