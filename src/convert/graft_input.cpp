#include "convert/graft_input.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "convert/gguf_model.h"
#include "convert/hf_tensor.h"
#include "convert/json_node.h"
#include "model/qwen35/tensor_map.h"

namespace foretoken::convert {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kMaxWidth = 1U << 20;
constexpr std::uint32_t kMaxHeads = 4096;
constexpr std::uint32_t kMaxBlocks = 512;
constexpr std::size_t kMaxVocab = 1U << 24;

/// 8 and "attn_q.weight" of "blk.8.attn_q.weight".
struct BlockName {
  int block = 0;
  std::string_view key;
};

/// Nothing for a name of another form.
std::optional<BlockName> split_block_name(std::string_view name) {
  if (!name.starts_with("blk.")) return std::nullopt;
  name.remove_prefix(4);
  BlockName out;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out.block);
  const auto length = static_cast<std::size_t>(end - name.data());
  if (error != std::errc() || out.block < 0 || length >= name.size() || name[length] != '.') {
    return std::nullopt;
  }
  out.key = name.substr(length + 1);
  return out;
}

bool is_head_norm(std::string_view key) {
  return key == "attn_q_norm.weight" || key == "attn_k_norm.weight";
}

void require_single_layer(const GraftInput& input) {
  if (input.shape.n_mtp_layers <= 1) return;
  throw UnsupportedError(fmt::format(
      "{}: announces an MTP head of {} layers; every published Qwen3.5 model has one, and model "
      "files have no form for more",
      input.path, input.shape.n_mtp_layers));
}

ModelShape shape_of(const HfConfig& config) {
  ModelShape out;
  out.n_layers = config.n_layers;
  out.n_mtp_layers = config.n_mtp_layers;
  out.d_model = config.d_model;
  out.d_ff = config.d_ff;
  out.n_heads = config.n_heads;
  out.n_kv_heads = config.n_kv_heads;
  out.head_dim = config.head_dim;
  out.n_vocab = config.n_vocab;
  out.rope_theta = config.rope_theta;
  out.n_rot = config.n_rot();
  std::copy_n(config.rope_sections.begin(), 3, out.rope_sections.begin());
  if (config.rope_scaling) {
    out.rope_scaling =
        fmt::format("{} {:g}", printable(config.rope_scaling->type), config.rope_scaling->factor);
  }
  out.rms_eps = config.rms_eps;
  out.is_tied = config.ties_embeddings;
  return out;
}

/// Takes in the tensors of a checkpoint one by one.
class CheckpointReader {
 public:
  explicit CheckpointReader(GraftInput& input) : input_(input) {}

  void read() {
    input_.shape = shape_of(*input_.config);
    require_single_layer(input_);
    bool has_output = false;
    for (const safetensors::TensorRef& ref : input_.checkpoint->tensors()) {
      const HfTensor tensor{input_.checkpoint, &ref};
      const HfName name = canonical_name(ref.name());
      if (name.part == HfPart::Mtp) add_head_tensor(tensor, name.canonical);
      if (name.part != HfPart::Trunk) continue;
      has_output = has_output || name.canonical == "lm_head.weight";
      look_at_trunk(tensor, name.canonical);
    }
    // A checkpoint with an lm_head has the last word on being tied.
    if (input_.has_trunk) input_.shape.is_tied = !has_output;
  }

 private:
  std::optional<TensorSource> readable_rows(const HfTensor& tensor,
                                            const HfTensorRule& rule) const {
    using safetensors::DType;
    const DType type = tensor.ref->info->type;
    const bool is_float = type == DType::F32 || type == DType::F16 || type == DType::BF16;
    if (!is_float || tensor.shape().empty() || tensor.ref->info->n_elements() == 0) {
      return std::nullopt;
    }
    return text_source(tensor, rule, tensor.shape(), *input_.config);
  }

  void add_head_tensor(const HfTensor& tensor, std::string_view canonical) {
    const auto rule = find_text_rule(canonical, *input_.config);
    const auto block = rule ? split_block_name(rule->name) : std::nullopt;
    const auto& specs = specs_;
    const bool known = block && block->block == input_.config->n_layers &&
                       std::ranges::find(specs, block->key, &HeadSpec::key) != specs.end();
    if (!known || input_.find_head_tensor(block->key) != nullptr) {
      input_.extra.push_back(tensor.name());
      return;
    }
    HeadTensor out;
    out.key = block->key;
    out.name = tensor.name();
    out.shape = tensor.shape();
    out.info = tensor.ref->info;
    out.type = safetensors::dtype_name(out.info->type);
    out.bytes = {input_.checkpoint->files()[static_cast<std::size_t>(tensor.ref->file)].path(),
                 out.info->offset, out.info->size_bytes};
    out.rows = readable_rows(tensor, *rule);
    input_.head.push_back(std::move(out));
  }

  void look_at_trunk(const HfTensor& tensor, const std::string& canonical) {
    const auto& shape = tensor.shape();
    input_.has_trunk = input_.has_trunk || canonical.starts_with("layers.");
    if (canonical == "embed_tokens.weight" && shape.size() == 2 && shape[0] <= kMaxVocab) {
      input_.shape.n_vocab = static_cast<int>(shape[0]);
    }
    if (canonical.ends_with(".conv1d.weight") && input_.oddities.empty() && shape.size() == 3 &&
        shape[1] != 1 && shape[2] == 1) {
      input_.oddities.push_back(fmt::format(
          "tensor {} is [{}] where the official form is [{}, 1, {}]: it went through MLX, which "
          "also adds 1 to every norm",
          quoted(tensor.name()), fmt::join(shape, ", "), shape[0], shape[1]));
    }
    const auto rule = find_text_rule(canonical, *input_.config);
    const auto block = rule ? split_block_name(rule->name) : std::nullopt;
    if (!block || !is_head_norm(block->key)) return;
    if (auto rows = readable_rows(tensor, *rule)) {
      input_.trunk_norms.push_back({std::string(block->key), std::move(*rows)});
    }
  }

  GraftInput& input_;
  std::vector<HeadSpec> specs_ = head_specs(shape_of(*input_.config));
};

GraftInput open_folder(const std::string& path) {
  GraftInput input;
  input.path = path;
  const fs::path config = fs::path(path) / "config.json";
  std::error_code error;
  if (!fs::exists(config, error) && fs::exists(fs::path(path) / "adapter_config.json", error)) {
    throw UnsupportedError(
        fmt::format("{}: an adapter (LoRA), not a model; merge it into its base "
                    "model first and give the result",
                    path));
  }
  input.checkpoint =
      std::make_shared<const safetensors::Checkpoint>(safetensors::Checkpoint::open(path));
  input.config_text = read_text_file(config.string());
  input.config = parse_hf_config(input.config_text, config.string());
  CheckpointReader(input).read();
  return input;
}

GraftInput open_head_checkpoint(const std::string& path) {
  GraftInput input;
  input.path = path;
  input.is_head_file = true;
  input.checkpoint =
      std::make_shared<const safetensors::Checkpoint>(safetensors::Checkpoint::open_file(path));
  for (const auto& [key, value] : input.checkpoint->files().front().metadata()) {
    if (key == kConfigMetadataKey) input.config_text = value;
  }
  if (input.config_text.empty()) {
    throw UnsupportedError(
        fmt::format("{}: a single safetensors file without its model's config; "
                    "give the folder it is in, or a file made with --extract",
                    path));
  }
  input.config = parse_hf_config(input.config_text, path + ": config.json in __metadata__");
  CheckpointReader(input).read();
  return input;
}

/// The keys of a GGUF file that a head depends on, each checked.
class KeyReader {
 public:
  explicit KeyReader(const gguf::File& file) : file_(file), metadata_(file.metadata()) {}

  void check_architecture() const {
    const auto architecture = metadata_.find_string("general.architecture");
    if (architecture == "qwen35") return;
    throw UnsupportedError(fmt::format(
        "{}: {}; expected a dense Qwen3.5 text model (general.architecture = qwen35)", file_.path(),
        architecture == "clip" ? "a vision projector (mmproj), not a text model"
        : architecture         ? "architecture " + quoted(*architecture)
                               : "key 'general.architecture' is missing"));
  }

  ModelShape read() const {
    ModelShape out;
    const int n_blocks = count("block_count", kMaxBlocks);
    const auto n_mtp = metadata_.find_u32("qwen35.nextn_predict_layers").value_or(0);
    if (n_mtp >= static_cast<std::uint32_t>(n_blocks)) {
      throw FormatError(
          fmt::format("{}: key 'qwen35.nextn_predict_layers' is {}; expected less than "
                      "qwen35.block_count ({})",
                      file_.path(), n_mtp, n_blocks));
    }
    out.n_mtp_layers = static_cast<int>(n_mtp);
    out.n_layers = n_blocks - out.n_mtp_layers;
    out.d_model = count("embedding_length", kMaxWidth);
    out.d_ff = count("feed_forward_length", kMaxWidth);
    out.n_heads = count("attention.head_count", kMaxHeads);
    out.n_kv_heads = count("attention.head_count_kv", kMaxHeads);
    out.head_dim = count("attention.key_length", kMaxHeads);
    out.rms_eps = decimal("qwen35.attention.layer_norm_rms_epsilon");
    read_rope(out);
    const gguf::TensorInfo* embedding = file_.find_tensor("token_embd.weight");
    if (embedding != nullptr && embedding->n_rows() <= kMaxVocab) {
      out.n_vocab = static_cast<int>(embedding->n_rows());
    }
    out.is_tied = file_.find_tensor("output.weight") == nullptr;
    return out;
  }

 private:
  int count(const char* name, std::uint32_t high) const {
    const std::string key = fmt::format("qwen35.{}", name);
    const std::uint32_t value = metadata_.require_u32(key);
    if (value < 1 || value > high) {
      throw FormatError(
          fmt::format("{}: key '{}' is {}; expected 1 to {}", file_.path(), key, value, high));
    }
    return static_cast<int>(value);
  }

  /// As the decimal number that was meant, so that 1e-6 equals a config's 1e-6.
  double decimal(const char* key) const {
    return std::stod(fmt::format("{}", metadata_.require_f32(key)));
  }

  void read_rope(ModelShape& out) const {
    out.n_rot = count("rope.dimension_count", kMaxHeads);
    out.rope_theta = decimal("qwen35.rope.freq_base");
    const auto scaling = metadata_.find_string("qwen35.rope.scaling.type");
    if (scaling && *scaling != "none") {
      out.rope_scaling =
          fmt::format("{} {:g}", printable(*scaling),
                      metadata_.find_f32("qwen35.rope.scaling.factor").value_or(1.0F));
    }
    if (const auto sections = metadata_.find_i32_array("qwen35.rope.dimension_sections")) {
      std::copy_n(sections->begin(), std::min<std::size_t>(3, sections->size()),
                  out.rope_sections.begin());
    }
  }

  const gguf::File& file_;
  const gguf::Metadata& metadata_;
};

void add_head_tensor(GraftInput& input, const gguf::TensorInfo& tensor, const TensorSource& rows,
                     const BlockName& block, const std::vector<HeadSpec>& specs) {
  if (block.block != input.shape.n_layers ||
      std::ranges::find(specs, block.key, &HeadSpec::key) == specs.end()) {
    input.extra.push_back(tensor.name);
    return;
  }
  HeadTensor out;
  out.key = block.key;
  out.name = tensor.name;
  out.shape = tensor.shape;
  out.type = quant::type_info(tensor.type).name;
  out.bytes = {input.file->path(tensor.file_index), tensor.offset, tensor.size_bytes};
  if (rows.read_rows) out.rows = rows;
  input.head.push_back(std::move(out));
}

GraftInput open_gguf(const std::string& path) {
  GraftInput input;
  input.path = path;
  input.file = std::make_shared<const gguf::File>(gguf::File::open(path));
  const KeyReader keys(*input.file);
  keys.check_architecture();
  input.shape = keys.read();
  require_single_layer(input);
  const std::vector<HeadSpec> specs = head_specs(input.shape);
  const ModelSource model = open_gguf_model(input.file, TensorOrder::AsInFile);
  for (std::size_t i = 0; i < model.tensors.size(); ++i) {
    const gguf::TensorInfo& tensor = input.file->tensors()[i];
    const auto block = split_block_name(tensor.name);
    if (!block) continue;
    if (block->block >= input.shape.n_layers) {
      add_head_tensor(input, tensor, model.tensors[i], *block, specs);
      continue;
    }
    input.has_trunk = true;
    if (is_head_norm(block->key) && model.tensors[i].read_rows) {
      input.trunk_norms.push_back({std::string(block->key), model.tensors[i]});
    }
  }
  return input;
}

}  // namespace

std::vector<HeadSpec> head_specs(const ModelShape& shape) {
  model::qwen35::Config config;
  config.n_layers = shape.n_layers;
  config.d_model = shape.d_model;
  config.d_ff = shape.d_ff;
  config.n_heads = shape.n_heads;
  config.n_kv_heads = shape.n_kv_heads;
  config.head_dim = shape.head_dim;
  config.n_vocab = shape.n_vocab;
  std::vector<HeadSpec> out;
  for (model::qwen35::TensorSpec& spec : model::qwen35::mtp_tensors(config, 0)) {
    std::string key(split_block_name(spec.name)->key);
    out.push_back({std::move(key), std::move(spec.shape), !spec.required});
  }
  return out;
}

const HeadTensor* GraftInput::find_head_tensor(std::string_view key) const {
  const auto place = std::ranges::find(head, key, &HeadTensor::key);
  return place == head.end() ? nullptr : &*place;
}

GraftInput open_graft_input(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return open_folder(path);
  if (path.ends_with(".safetensors")) return open_head_checkpoint(path);
  return open_gguf(path);
}

}  // namespace foretoken::convert
