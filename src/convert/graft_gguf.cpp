// Into a GGUF file: the fine-tune's keys with the few that a head changes, its tensors as they are,
// and the head behind them. The result has the keys and tensors, in the order, that llama.cpp's
// tools give a model that never lost its head.
// Source: docs/graft.md, "GGUF files"; conversion/qwen.py and src/llama-quant.cpp of llama.cpp
// de3ff815.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "convert/gguf_model.h"
#include "convert/graft_parts.h"
#include "convert/hf_model.h"
#include "convert/model_id.h"
#include "convert/recipe.h"
#include "quant/quantize.h"

namespace foretoken::convert {
namespace {

constexpr std::string_view kBlockCount = "qwen35.block_count";
constexpr std::string_view kMtpLayers = "qwen35.nextn_predict_layers";
constexpr std::string_view kRecurrent = "qwen35.attention.recurrent_layers";
constexpr std::string_view kSizeLabel = "general.size_label";
/// The key that follows the number of MTP layers in converted files.
constexpr std::string_view kBehindMtpLayers = "qwen35.ssm.conv_kernel";

/// Everything that a file to write borrows from, and the file.
struct GgufOutput {
  GraftInput base;
  GraftInput finetune;
  std::vector<TensorSource> sources;
  FileTarget target;
};

bool is_matrix(const TensorSource& tensor) { return tensor.shape.size() >= 2; }

bool is_float(quant::Type type) {
  return type == quant::Type::F32 || type == quant::Type::F16 || type == quant::Type::BF16;
}

/// The type that most weights of the matrices have.
quant::Type main_type(const std::vector<TensorSource>& tensors) {
  std::map<quant::Type, std::size_t> elements;
  quant::Type out = quant::Type::F32;
  for (const TensorSource& tensor : tensors) {
    if (!is_matrix(tensor)) continue;
    elements[tensor.type] += tensor.n_rows() * tensor.n_cols();
    if (elements[tensor.type] > elements[out]) out = tensor.type;
  }
  return out;
}

/// The type of a head's tensor that comes from a checkpoint, as the converter chooses: vectors in
/// F32, matrices in the type asked for, or in F16 where its blocks do not fit the rows.
quant::Type head_type(const TensorSource& tensor, quant::Type wanted) {
  if (!is_matrix(tensor)) return quant::Type::F32;
  const auto block = static_cast<std::size_t>(quant::type_info(wanted).block_elements);
  return tensor.n_cols() % block == 0 ? wanted : quant::Type::F16;
}

std::size_t n_elements(const std::vector<TensorSource>& tensors) {
  std::size_t n = 0;
  for (const TensorSource& tensor : tensors) n += tensor.n_rows() * tensor.n_cols();
  return n;
}

/// Whether tensors stand block by block and by name, as llama-quantize leaves them.
bool is_in_layer_order(const std::vector<TensorSource>& tensors) {
  return std::ranges::is_sorted(tensors, {}, [](const TensorSource& tensor) {
    return std::pair(layer_of(tensor.name), std::string_view(tensor.name));
  });
}

/// Weights of a model before and after.
struct Count {
  std::size_t before = 0;
  std::size_t after = 0;
};

/// Copies a key that the head does not change. A size label that was counted ("8.9B") is counted
/// again; one that came from a name stays. Keys of a split file stay behind, as does the alignment:
/// the writer always pads to 32.
void copy_entry(const gguf::Metadata& metadata, const gguf::Entry& entry, const Count& weights,
                gguf::Writer& keys) {
  if (entry.key.starts_with("split.") || entry.key == "general.alignment") return;
  const bool was_counted = entry.key == kSizeLabel && entry.type == gguf::ValueType::String &&
                           metadata.require_string(kSizeLabel) == size_label(weights.before);
  if (was_counted) {
    keys.set_string(kSizeLabel, size_label(weights.after));
  } else {
    keys.set_entry(entry);
  }
}

class GgufGraft {
 public:
  GgufGraft(GgufOutput& output, const GraftOptions& options, GraftPlan& plan)
      : output_(output), options_(options), plan_(plan) {}

  void plan() {
    add_trunk();
    const std::size_t n_trunk_elements = n_elements(output_.sources);
    const std::size_t n_trunk = output_.sources.size();
    add_head();
    set_keys(n_trunk_elements);
    for (std::size_t i = 0; i < output_.sources.size(); ++i) {
      const TensorSource& source = output_.sources[i];
      const bool is_converted = i >= n_trunk && !output_.base.is_gguf();
      output_.target.tensors.push_back(
          {&source, is_converted ? head_type(source, head_type_) : source.type, {}});
    }
    describe(n_trunk);
  }

 private:
  /// The fine-tune's tensors but those of a head it may have.
  void add_trunk() {
    const ModelSource model = open_gguf_model(output_.finetune.file, TensorOrder::AsInFile);
    for (const TensorSource& tensor : model.tensors) {
      if (layer_of(tensor.name) < output_.finetune.shape.n_layers) {
        output_.sources.push_back(tensor);
      }
    }
    const quant::Type type = main_type(output_.sources);
    head_type_ = options_.head_type.value_or(is_float(type) ? type : quant::Type::Q8_0);
    if (!quant::can_quantize(head_type_)) {
      throw UnsupportedError(fmt::format("--head-type {}: this type cannot be made; try Q8_0",
                                         quant::type_info(head_type_).name));
    }
  }

  void add_head() {
    const bool by_layer = is_in_layer_order(output_.sources);
    std::vector<const HeadTensor*> head = in_checkpoint_order(output_.base);
    if (by_layer) std::ranges::sort(head, {}, [](const HeadTensor* tensor) { return tensor->key; });
    for (const HeadTensor* tensor : head) {
      TensorSource source = tensor->rows.value();
      source.name = fmt::format("blk.{}.{}", output_.finetune.shape.n_layers, tensor->key);
      output_.sources.push_back(std::move(source));
      moved_.push_back(tensor);
    }
  }

  void set_keys(std::size_t n_trunk_elements) {
    const gguf::Metadata& metadata = output_.finetune.file->metadata();
    const auto n_layers = static_cast<std::uint32_t>(output_.finetune.shape.n_layers);
    gguf::Writer& keys = output_.target.keys;
    const bool has_mtp_layers = metadata.has(kMtpLayers);
    bool placed = has_mtp_layers;
    for (const gguf::Entry& entry : metadata.entries()) {
      if (!placed && entry.key == kBehindMtpLayers) {
        keys.set_u32(kMtpLayers, 1);
        placed = true;
      }
      if (entry.key == kBlockCount) {
        keys.set_u32(kBlockCount, n_layers + 1);
      } else if (entry.key == kMtpLayers) {
        keys.set_u32(kMtpLayers, 1);
      } else if (entry.key == kRecurrent) {
        auto flags = metadata.find_bool_array(kRecurrent).value();
        flags.resize(n_layers);
        flags.push_back(false);
        keys.set_bool_array(kRecurrent, flags);
      } else {
        copy_entry(metadata, entry, {n_trunk_elements, n_elements(output_.sources)}, keys);
      }
    }
    if (!placed) keys.set_u32(kMtpLayers, 1);
  }

  void describe(std::size_t n_trunk) {
    for (std::size_t i = n_trunk; i < output_.target.tensors.size(); ++i) {
      const TensorTarget& target = output_.target.tensors[i];
      const HeadTensor& from = *moved_[i - n_trunk];
      plan_.head.push_back(
          {from.name, target.source->name, from.type,
           std::string(quant::type_info(target.type).name),
           target.source->n_rows() * quant::row_bytes(target.type, target.source->n_cols())});
    }
    plan_.size_bytes = file_size(output_.target);
    plan_.files.push_back(
        {output_.target.path, "", "the fine-tune with the head", plan_.size_bytes});
  }

  GgufOutput& output_;
  const GraftOptions& options_;
  GraftPlan& plan_;
  quant::Type head_type_ = quant::Type::F32;
  std::vector<const HeadTensor*> moved_;
};

void describe_extract(const FileTarget& target, const GraftOptions& options, GraftPlan& plan) {
  for (const TensorTarget& tensor : target.tensors) {
    const TensorSource& source = *tensor.source;
    plan.head.push_back({source.name, source.name, std::string(quant::type_info(source.type).name),
                         std::string(quant::type_info(tensor.type).name),
                         source.n_rows() * quant::row_bytes(tensor.type, source.n_cols())});
  }
  plan.size_bytes = file_size(target);
  plan.files.push_back({options.out, "", "the head alone", plan.size_bytes});
}

/// From a checkpoint: what `convert --mtp` makes.
void plan_converted_extract(const GraftInput& base, const GraftOptions& options, GraftPlan& plan) {
  struct Output {
    HfModel model;
    FileTarget target;
  };
  const auto output = std::make_shared<Output>();
  output->model =
      open_hf_model(base.path, {.output = HfOutput::MtpHead, .type = options.head_type});
  output->target = output->model.file_target(options.out);
  describe_extract(output->target, options, plan);
  plan.write = [output](ThreadPool& pool, const WriteProgress& progress) {
    write_file(output->target, pool, progress);
  };
}

}  // namespace

void plan_gguf_graft(const GraftInput& base, const GraftInput& finetune,
                     const GraftOptions& options, GraftPlan& plan) {
  const auto output = std::make_shared<GgufOutput>();
  output->base = base;
  output->finetune = finetune;
  output->target.path = options.out;
  GgufGraft(*output, options, plan).plan();
  plan.write = [output](ThreadPool& pool, const WriteProgress& progress) {
    write_file(output->target, pool, progress);
  };
}

void plan_gguf_extract(const GraftInput& base, const GraftOptions& options, GraftPlan& plan) {
  if (!base.is_gguf()) {
    plan_converted_extract(base, options, plan);
    return;
  }
  const auto output = std::make_shared<GgufOutput>();
  output->base = base;
  output->target.path = options.out;
  const ModelSource model = open_gguf_model(base.file, TensorOrder::AsInFile);
  for (const TensorSource& tensor : model.tensors) {
    const int layer = layer_of(tensor.name);
    if (layer < 0 || layer == base.shape.n_layers) output->sources.push_back(tensor);
  }
  const gguf::Metadata& metadata = base.file->metadata();
  const Count weights{n_elements(model.tensors), n_elements(output->sources)};
  for (const gguf::Entry& entry : metadata.entries()) {
    copy_entry(metadata, entry, weights, output->target.keys);
  }
  for (const TensorSource& source : output->sources) {
    output->target.tensors.push_back({&source, source.type, {}});
  }
  describe_extract(output->target, options, plan);
  plan.write = [output](ThreadPool& pool, const WriteProgress& progress) {
    write_file(output->target, pool, progress);
  };
}

}  // namespace foretoken::convert
