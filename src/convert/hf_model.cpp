#include "convert/hf_model.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "convert/float_types.h"
#include "convert/general_metadata.h"
#include "convert/hf_keys.h"
#include "convert/hf_tensors.h"
#include "convert/hf_tokenizer.h"
#include "convert/hf_vision.h"
#include "convert/model_id.h"

namespace foretoken::convert {
namespace {

using Checkpoint = std::shared_ptr<const safetensors::Checkpoint>;

constexpr std::uint32_t kQuantizationVersion = 2;

Checkpoint open_checkpoint(const std::string& folder) {
  return std::make_shared<const safetensors::Checkpoint>(safetensors::Checkpoint::open(folder));
}

/// Packed weights are found out by their number types; the config names the method.
std::vector<TensorSource> collect_tensors(const std::string& folder, const HfModelOptions& options,
                                          HfConfig& config) {
  const Checkpoint checkpoint = open_checkpoint(folder);
  const Checkpoint head = options.head_folder ? open_checkpoint(*options.head_folder) : nullptr;
  try {
    if (options.output == HfOutput::Vision) return collect_vision_tensors(checkpoint, config);
    const TextParts parts = options.output == HfOutput::WithoutMtp ? TextParts::WithoutMtp
                            : options.output == HfOutput::MtpHead  ? TextParts::MtpOnly
                                                                   : TextParts::WithMtp;
    return collect_text_tensors(checkpoint, head, parts, config);
  } catch (const UnsupportedError& error) {
    if (!config.quantization_method) throw;
    throw UnsupportedError(fmt::format("{} (config.json: quantized by {})", error.what(),
                                       *config.quantization_method));
  }
}

std::string convention_name(const GeneralMetadata& metadata, HfOutput output, quant::Type type) {
  FileNameParts parts{.name = metadata.name,
                      .basename = metadata.basename,
                      .size_label = metadata.size_label,
                      .finetune = metadata.finetune,
                      .version = metadata.version,
                      .encoding = std::string(quant::type_info(type).name)};
  std::string prefix;
  std::string suffix;
  switch (output) {
    case HfOutput::Model:
    case HfOutput::WithoutMtp:
      break;
    case HfOutput::MtpHead:
      prefix = "mtp-";
      parts.size_label.reset();
      break;
    case HfOutput::Vision:
      prefix = "mmproj-";
      parts.size_label.reset();
      break;
    case HfOutput::Vocabulary:
      suffix = "-vocab";
      parts.size_label.reset();
      parts.encoding.reset();
      break;
  }
  return fmt::format("{}{}{}.gguf", prefix, default_file_name(parts), suffix);
}

}  // namespace

FileTarget HfModel::file_target(const std::string& path) const {
  FileTarget target;
  target.path = path;
  target.keys = source.keys;
  for (const TensorSource& tensor : source.tensors) {
    target.tensors.push_back(
        {.source = &tensor, .type = converted_type(tensor, type), .importance = {}});
  }
  return target;
}

HfModel open_hf_model(const std::string& folder, const HfModelOptions& options) {
  HfModel model;
  model.config = read_hf_config(folder);
  model.source.origin = folder;
  if (options.output != HfOutput::Vocabulary) {
    model.source.tensors = collect_tensors(folder, options, model.config);
  }
  model.type = options.type ? *options.type : automatic_type(model.source.tensors);
  for (const TensorSource& tensor : model.source.tensors) {
    model.n_params += tensor.n_rows() * tensor.n_cols();
  }
  const GeneralMetadata metadata =
      collect_general_metadata({.folder = folder,
                                .name_or_path = model.config.name_or_path,
                                .override_file = options.override_file,
                                .model_name = options.model_name,
                                .n_params = model.n_params});
  model.file_name = convention_name(metadata, options.output, model.type);

  const bool is_vision = options.output == HfOutput::Vision;
  gguf::Writer& keys = model.source.keys;
  keys.set_string("general.architecture", is_vision ? "clip" : "qwen35");
  keys.set_string("general.type", is_vision ? "mmproj" : "model");
  write_general_metadata(metadata, keys);
  if (is_vision) {
    write_vision_keys(model.config, read_image_statistics(folder), out_file_type(model.type), keys);
  } else {
    write_text_keys(model.config, out_file_type(model.type), keys);
  }
  keys.set_u32("general.quantization_version", kQuantizationVersion);
  if (!is_vision) write_tokenizer_keys(folder, model.config.n_vocab, keys);
  return model;
}

}  // namespace foretoken::convert
