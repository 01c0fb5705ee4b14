// What quantizing a model would do, tensor by tensor, before any of it is done: types, importances,
// sizes, and everything that stands in the way.
// Source: docs/quantize.md; src/llama-quant.cpp of llama.cpp de3ff815.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "convert/importance.h"
#include "convert/model_source.h"
#include "convert/recipe.h"

namespace foretoken::convert {

/// One tensor and its fate.
struct PlannedTensor {
  const TensorSource* source = nullptr;
  TypeChoice choice;
  /// [n_cols] or null: borrowed from the plan's Importances. Null as well for types to which it
  /// makes no difference.
  const std::vector<float>* importance = nullptr;
  std::size_t size_bytes = 0;  ///< afterwards

  bool changes() const { return source->type != choice.type; }
};

struct QuantizePlan {
  std::vector<PlannedTensor> tensors;  ///< in the order of the model
  /// Tensors quantized without importances although there is an importance matrix.
  std::vector<std::string> without_importance;
  /// Tensors whose rows did not fit the type wanted.
  std::vector<std::string> fallbacks;
  /// What makes the work impossible or useless, one sentence each.
  std::vector<std::string> problems;

  std::size_t source_bytes() const;
  std::size_t size_bytes() const;
  std::size_t n_weights() const;
};

struct QuantizeOptions {
  FileType file_type = {};
  RecipeOptions recipe = {};      ///< has_imatrix is set from `importances`
  bool allow_requantize = false;  ///< tensors that are quantized already may change their type
  Importances importances = {};
};

/// `model`'s tensors must be in the order of the file to write; the plan borrows them and the
/// options' importances. Throws like choose_types().
QuantizePlan plan_quantization(const ModelSource& model, const ModelFacts& facts,
                               const QuantizeOptions& options);

}  // namespace foretoken::convert
