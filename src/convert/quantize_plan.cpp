// Types from the recipe, importances by name, and a list of objections.
#include "convert/quantize_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "quant/quantize.h"

namespace foretoken::convert {
namespace {

using quant::Type;

bool is_quantized(Type type) { return quant::type_info(type).block_elements > 1; }

class Planner {
 public:
  explicit Planner(const QuantizeOptions& options) : options_(options) {}

  void add(const TensorSource& source, const TypeChoice& choice) {
    PlannedTensor tensor{.source = &source, .choice = choice, .importance = nullptr};
    // Counted for the type that is there, should the shape not fit the new one at all.
    tensor.size_bytes = source.source_bytes();
    if (tensor.changes() && check_possible(tensor)) {
      tensor.size_bytes = source.n_rows() * quant::row_bytes(choice.type, source.n_cols());
      find_importance(tensor);
    }
    if (choice.fallback_from) plan_.fallbacks.push_back(source.name);
    plan_.tensors.push_back(tensor);
  }

  QuantizePlan take() { return std::move(plan_); }

 private:
  void object(std::string sentence) { plan_.problems.push_back(std::move(sentence)); }

  // False when the tensor cannot have the type at all.
  bool check_possible(const PlannedTensor& tensor) {
    const TensorSource& source = *tensor.source;
    const quant::TypeInfo& from = quant::type_info(source.type);
    const quant::TypeInfo& to = quant::type_info(tensor.choice.type);
    if (source.n_cols() % static_cast<std::size_t>(to.block_elements) != 0) {
      object(fmt::format("tensor {}: rows of {} weights are no multiple of the {} of a {} block",
                         quoted(source.name), source.n_cols(), to.block_elements, to.name));
      return false;
    }
    if (!quant::can_quantize(tensor.choice.type)) {
      object(fmt::format(
          "tensor {} would become {}, which is not made here; it can only be copied from a file "
          "that has it",
          quoted(source.name), to.name));
    } else if (!source.read_rows) {
      object(fmt::format("tensor {} is {}, which cannot be decoded here, so it cannot become {}",
                         quoted(source.name), from.name, to.name));
    } else if (is_quantized(source.type) && !options_.allow_requantize) {
      object(fmt::format(
          "tensor {} is {} already; quantizing it again to {} loses more than quantizing from "
          "the original BF16 file. --allow-requantize does it all the same",
          quoted(source.name), from.name, to.name));
    }
    return true;
  }

  void find_importance(PlannedTensor& tensor) {
    const TensorSource& source = *tensor.source;
    const auto entry = options_.importances.find(source.name);
    if (entry == options_.importances.end()) {
      if (tensor.choice.needs_importance) {
        object(fmt::format(
            "tensor {} would become {} in a {} file without importances, which leaves nothing of "
            "it; give an importance matrix that has it, or a larger type",
            quoted(source.name), quant::type_info(tensor.choice.type).name,
            options_.file_type.name));
      }
      if (quant::uses_importance(tensor.choice.type) && !options_.importances.empty()) {
        plan_.without_importance.push_back(source.name);
      }
      return;
    }
    if (entry->second.size() != source.n_cols()) {
      // Entries for the embeddings come from rows looked up, not from products: no use anyway.
      if (source.name != "token_embd.weight") {
        object(fmt::format(
            "tensor {} has rows of {} weights, but its entry in the importance matrix has {}; the "
            "matrix is of another model",
            quoted(source.name), source.n_cols(), entry->second.size()));
      }
      plan_.without_importance.push_back(source.name);
      return;
    }
    if (quant::uses_importance(tensor.choice.type)) tensor.importance = &entry->second;
  }

  const QuantizeOptions& options_;
  QuantizePlan plan_;
};

}  // namespace

QuantizePlan plan_quantization(const ModelSource& model, const ModelFacts& facts,
                               const QuantizeOptions& options) {
  RecipeOptions recipe = options.recipe;
  recipe.has_imatrix = !options.importances.empty();
  const std::vector<TypeChoice> choices =
      choose_types(options.file_type, facts, model.tensors, recipe);
  Planner planner(options);
  for (std::size_t i = 0; i < choices.size(); ++i) planner.add(model.tensors[i], choices[i]);
  return planner.take();
}

std::size_t QuantizePlan::source_bytes() const {
  std::size_t sum = 0;
  for (const PlannedTensor& tensor : tensors) sum += tensor.source->source_bytes();
  return sum;
}

std::size_t QuantizePlan::size_bytes() const {
  std::size_t sum = 0;
  for (const PlannedTensor& tensor : tensors) sum += tensor.size_bytes;
  return sum;
}

std::size_t QuantizePlan::n_weights() const {
  std::size_t sum = 0;
  for (const PlannedTensor& tensor : tensors) {
    sum += tensor.source->n_rows() * tensor.source->n_cols();
  }
  return sum;
}

}  // namespace foretoken::convert
