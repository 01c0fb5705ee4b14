// The mixtures, one function a category of tensors; see docs/quantize.md for them as a table.
#include "convert/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "gguf/file.h"

namespace foretoken::convert {
namespace {

using quant::Type;

// Numbers of general.file_type that have a mixture of their own.
enum FileTypeId : std::uint32_t {
  kQ4_0 = 2,
  kQ5_0 = 8,
  kQ2_K = 10,
  kQ3_K_M = 12,
  kQ3_K_L = 13,
  kQ4_K_S = 14,
  kQ4_K_M = 15,
  kQ5_K_M = 17,
  kQ2_K_S = 21,
  kIQ4_NL = 25,
  kIQ4_XS = 30,
  kMxfp4Moe = 38,
  kQ2_0 = 41,
};

enum class Category { Output, Embedding, Value, AttentionOutput, FfnDown, Other };

Category category_of(std::string_view name) {
  if (name == "output.weight") return Category::Output;
  if (name == "token_embd.weight") return Category::Embedding;
  const auto has = [name](std::string_view part) { return name.find(part) != name.npos; };
  // A delta net's fused projection counts as an attention value.
  if (has("attn_qkv.weight") || has("attn_kv_b.weight") || has("attn_v.weight")) {
    return Category::Value;
  }
  if (has("attn_k.weight") || has("attn_q.weight")) return Category::Other;
  if (has("attn_output.weight")) return Category::AttentionOutput;
  if (has("ffn_up") || has("ffn_gate")) return Category::Other;
  if (has("ffn_down")) return Category::FfnDown;
  return Category::Other;
}

// Dimensions that count: ones in front of the shape do not.
std::size_t n_dims(const std::vector<std::size_t>& shape) {
  const auto first =
      std::find_if(shape.begin(), shape.end(), [](std::size_t length) { return length != 1; });
  return std::max<std::size_t>(1, static_cast<std::size_t>(shape.end() - first));
}

bool may_be_quantized(const TensorSource& tensor, const RecipeOptions& options) {
  const std::string_view name = tensor.name;
  const auto has = [name](std::string_view part) { return name.find(part) != name.npos; };
  return !options.copy && n_dims(tensor.shape) >= 2 && name.ends_with("weight") &&
         !has("_norm.weight") && !has("ffn_gate_inp.weight") && !has("ssm_conv1d") &&
         !(options.leave_output && name == "output.weight");
}

// Blocks of floats: what can be quantized, and what nothing is taken from by quantizing less.
bool is_float(Type type) { return type == Type::F32 || type == Type::F16 || type == Type::BF16; }

bool fits(Type type, std::size_t n_cols) {
  return n_cols % static_cast<std::size_t>(quant::type_info(type).block_elements) == 0;
}

// For rows that are not whole blocks of `type`: the next coarser grid with shorter blocks.
Type fallback_for(Type type, const TensorSource& tensor) {
  switch (type) {
    case Type::Q2_0:
    case Type::Q2_K:
    case Type::Q3_K:
    case Type::TQ1_0:
    case Type::TQ2_0:
      return Type::Q4_0;
    case Type::Q4_K:
      return Type::Q5_0;
    case Type::Q5_K:
      return Type::Q5_1;
    case Type::Q6_K:
      return Type::Q8_0;
    case Type::IQ1_S:
    case Type::IQ1_M:
    case Type::IQ2_XXS:
    case Type::IQ2_XS:
    case Type::IQ2_S:
    case Type::IQ3_XXS:
    case Type::IQ3_S:
    case Type::IQ4_XS:
      return Type::IQ4_NL;
    default:
      break;
  }
  if (quant::type_info(type).block_elements <= 32) return type;
  throw UnsupportedError(fmt::format(
      "tensor {}: rows of {} weights are no multiple of the {} of a {} block, and no other type "
      "stands in for it; choose one with --tensor-type",
      quoted(tensor.name), tensor.n_cols(), quant::type_info(type).block_elements,
      quant::type_info(type).name));
}

// The state of one decision after the other: counters of the two categories whose mixture depends
// on the layer.
class Chooser {
 public:
  Chooser(const FileType& file_type, const ModelFacts& model, std::span<const TensorSource> tensors,
          const RecipeOptions& options)
      : file_type_(file_type), model_(model), options_(options) {
    for (const TensorSource& tensor : tensors) {
      const Category category = category_of(tensor.name);
      if (category == Category::Value) ++n_values_;
      if (category == Category::Output) tied_ = false;
    }
  }

  TypeChoice choose(const TensorSource& tensor) {
    if (!may_be_quantized(tensor, options_)) return {.type = tensor.type};
    const Category category = category_of(tensor.name);
    TypeChoice choice = choose_unprotected(tensor, category);
    if (options_.protect_mtp && !by_hand_ && is_protected(tensor.name)) protect(tensor, choice);
    // The two large tables are read by rows or once a token; there Q2_K does no such harm.
    choice.needs_importance = file_type_.id == kQ2_K_S && choice.type == Type::Q2_K &&
                              category != Category::Output && category != Category::Embedding;
    return choice;
  }

 private:
  TypeChoice choose_unprotected(const TensorSource& tensor, Category category) {
    by_hand_ = true;
    if (options_.embedding_type && category == Category::Embedding) {
      return {.type = *options_.embedding_type};
    }
    if (options_.output_type && category == Category::Output)
      return {.type = *options_.output_type};
    by_hand_ = false;
    if (is_float(file_type_.base)) return {.type = file_type_.base};
    Type type = file_type_.base;
    if (const auto override = options_.overrides.find(tensor.name)) {
      by_hand_ = true;
      type = *override;
      if (options_.stable_mixture) static_cast<void>(mixture(tensor, category));
    } else if (!options_.pure) {
      type = mixture(tensor, category);
    }
    return fit(tensor, type);
  }

  static TypeChoice fit(const TensorSource& tensor, Type type) {
    if (fits(type, tensor.n_cols())) return {.type = type};
    const Type fallback = fallback_for(type, tensor);
    return {.type = fits(fallback, tensor.n_cols()) ? fallback : Type::F16, .fallback_from = type};
  }

  bool is_protected(std::string_view name) const {
    return layer_of(name) >= model_.n_layers - model_.n_mtp_layers ||
           name.find("ssm_alpha") != name.npos || name.find("ssm_beta") != name.npos;
  }

  static void protect(const TensorSource& tensor, TypeChoice& choice) {
    const auto bits = [](Type type) {
      const quant::TypeInfo& info = quant::type_info(type);
      return 8.0 * info.block_bytes / info.block_elements;
    };
    if (!is_float(tensor.type)) {
      choice = {.type = tensor.type};
    } else if (bits(choice.type) < bits(Type::Q8_0)) {
      choice = fit(tensor, Type::Q8_0);
    }
  }

  // The mixture's type; advances the counters.
  Type mixture(const TensorSource& tensor, Category category) {
    if (category == Category::Output || (tied_ && category == Category::Embedding)) {
      return output_mixture(tensor);
    }
    if (file_type_.id == kMxfp4Moe) {
      return n_dims(tensor.shape) >= 3 ? Type::MXFP4 : Type::Q8_0;
    }
    switch (category) {
      case Category::Embedding:
        return file_type_.id == kQ2_0 ? Type::Q4_K : file_type_.base;
      case Category::Value:
        return value_mixture(i_value_++);
      case Category::FfnDown:
        return ffn_down_mixture(i_ffn_down_++);
      case Category::AttentionOutput:
        return attention_output_mixture();
      case Category::Output:
      case Category::Other:
        break;
    }
    return file_type_.base;
  }

  // Also of embeddings that serve as the output.
  Type output_mixture(const TensorSource& tensor) const {
    if (options_.output_type) return *options_.output_type;
    if (file_type_.id == kMxfp4Moe || !fits(file_type_.base, tensor.n_cols())) return Type::Q8_0;
    return file_type_.base == Type::Q8_0 ? Type::Q8_0 : Type::Q6_K;
  }

  // The first and last eighth and every third between: where errors were found to cost most.
  static bool more_bits(int i, int n) {
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
  }

  Type value_mixture(int i) const {
    const bool shared = model_.gqa >= 4;  // few value heads: cheap to keep well
    switch (file_type_.id) {
      case kQ2_K:
        return shared ? Type::Q4_K : Type::Q3_K;
      case kQ2_K_S:
        return shared ? Type::Q4_K : file_type_.base;
      case kQ3_K_M:
        return i < 2 ? Type::Q5_K : Type::Q4_K;
      case kQ3_K_L:
        return Type::Q5_K;
      case kIQ4_NL:
      case kIQ4_XS:
        return shared ? Type::Q5_K : file_type_.base;
      case kQ4_K_M:
      case kQ5_K_M:
        return more_bits(i, n_values_) ? Type::Q6_K : file_type_.base;
      case kQ4_K_S:
        return i < 4 ? Type::Q5_K : file_type_.base;
      default:
        return file_type_.base;
    }
  }

  Type ffn_down_mixture(int i) const {
    const int n = model_.n_layers;
    const bool first = i < n / 8;
    switch (file_type_.id) {
      case kQ2_K:
        return Type::Q3_K;
      case kQ2_K_S:
        return first ? Type::Q4_K : file_type_.base;
      case kQ3_K_M:
        return i < n / 16 ? Type::Q5_K : Type::Q4_K;
      case kQ3_K_L:
        return Type::Q5_K;
      case kQ4_K_M:
      case kQ5_K_M:
        return more_bits(i, n) ? Type::Q6_K : file_type_.base;
      case kQ4_K_S:
        return first ? Type::Q5_K : file_type_.base;
      case kIQ4_NL:
      case kIQ4_XS:
        return first && !options_.has_imatrix ? Type::Q5_K : file_type_.base;
      case kQ4_0:
        return first && options_.has_imatrix ? Type::Q4_1 : file_type_.base;
      case kQ5_0:
        return first && options_.has_imatrix ? Type::Q5_1 : file_type_.base;
      default:
        return file_type_.base;
    }
  }

  Type attention_output_mixture() const {
    switch (file_type_.id) {
      case kQ2_K:
        return Type::Q3_K;
      case kQ3_K_M:
        return Type::Q4_K;
      case kQ3_K_L:
        return Type::Q5_K;
      default:
        return file_type_.base;
    }
  }

  const FileType& file_type_;
  const ModelFacts& model_;
  const RecipeOptions& options_;
  bool tied_ = true;      // until an output.weight is seen
  bool by_hand_ = false;  // the tensor at hand got its type from an option
  int n_values_ = 0;
  int i_value_ = 0;
  int i_ffn_down_ = 0;
};

// The value for layer 0 of a key that may hold one number, or one for each layer.
std::optional<std::uint32_t> first_of(const gguf::Metadata& metadata, std::string_view key) {
  const gguf::Entry* entry = metadata.find_entry(key);
  if (entry == nullptr || entry->type != gguf::ValueType::Array) return metadata.find_u32(key);
  if (entry->element_type == gguf::ValueType::I32) {
    const auto values = metadata.find_i32_array(key).value();
    if (!values.empty() && values.front() >= 0) return static_cast<std::uint32_t>(values.front());
  } else {
    const auto values = metadata.find_u32_array(key).value();
    if (!values.empty()) return values.front();
  }
  return std::nullopt;
}

std::uint32_t require_in_range(const gguf::Metadata& metadata, std::string_view key,
                               std::optional<std::uint32_t> value, std::uint32_t least,
                               std::uint32_t most) {
  if (value && *value >= least && *value <= most) return *value;
  throw FormatError(fmt::format("{}: key '{}' is {}, expected {} to {}", metadata.file(), key,
                                value ? fmt::format("{}", *value) : "missing", least, most));
}

}  // namespace

ModelFacts read_model_facts(const gguf::Metadata& metadata) {
  const std::string_view architecture = metadata.require_string("general.architecture");
  if (architecture != "qwen35") {
    throw UnsupportedError(fmt::format(
        "{}: the architecture is {}, but only dense Qwen3.5 text models (qwen35) are quantized "
        "here; llama-quantize knows the mixtures of others",
        metadata.file(), quoted(architecture)));
  }
  const auto require = [&](std::string_view key, std::optional<std::uint32_t> value,
                           std::uint32_t least, std::uint32_t most) {
    return require_in_range(metadata, key, value, least, most);
  };
  constexpr std::string_view kLayers = "qwen35.block_count";
  constexpr std::string_view kMtp = "qwen35.nextn_predict_layers";
  constexpr std::string_view kHeads = "qwen35.attention.head_count";
  constexpr std::string_view kKvHeads = "qwen35.attention.head_count_kv";
  const std::uint32_t n_layers = require(kLayers, metadata.find_u32(kLayers), 1, 512);
  const std::uint32_t n_mtp = require(kMtp, metadata.find_u32(kMtp).value_or(0), 0, n_layers);
  const std::uint32_t n_heads = require(kHeads, first_of(metadata, kHeads), 1, 1U << 20);
  // Absent means as many as query heads; 0 appears in files that count per layer.
  const std::uint32_t n_kv = metadata.has(kKvHeads)
                                 ? require(kKvHeads, first_of(metadata, kKvHeads), 0, 1U << 20)
                                 : n_heads;
  return {.n_layers = static_cast<int>(n_layers),
          .n_mtp_layers = static_cast<int>(n_mtp),
          .gqa = n_kv == 0 ? 0 : static_cast<int>(n_heads / n_kv)};
}

ModelFacts read_model_facts(const gguf::Writer& keys, const std::string& origin) {
  const std::vector<std::byte> bytes = keys.to_bytes();
  return read_model_facts(gguf::File::from_memory(bytes, origin).metadata());
}

std::vector<TypeChoice> choose_types(const FileType& file_type, const ModelFacts& model,
                                     std::span<const TensorSource> tensors,
                                     const RecipeOptions& options) {
  Chooser chooser(file_type, model, tensors, options);
  std::vector<TypeChoice> out;
  out.reserve(tensors.size());
  for (const TensorSource& tensor : tensors) out.push_back(chooser.choose(tensor));
  return out;
}

int layer_of(std::string_view tensor_name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!tensor_name.starts_with(kPrefix)) return -1;
  const char* const begin = tensor_name.data() + kPrefix.size();
  const char* const end = tensor_name.data() + tensor_name.size();
  int layer = -1;
  if (std::from_chars(begin, end, layer).ec == std::errc::result_out_of_range) {
    return std::numeric_limits<int>::max();
  }
  return layer;
}

}  // namespace foretoken::convert
