#include "model/qwen35/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/error.h"

namespace foretoken::model::qwen35 {
namespace {

// Upper bounds far above any model of the family; they keep every product below in range of int.
constexpr std::uint32_t kMaxWidth = 1U << 17;
constexpr std::uint32_t kMaxHeads = 1024;
constexpr std::uint32_t kMaxBlocks = 512;
constexpr std::size_t kMaxVocab = 1U << 22;

class Reader {
 public:
  explicit Reader(const gguf::File& file) : file_(file) {}

  static std::string key(std::string_view name) { return fmt::format("qwen35.{}", name); }

  int count(std::string_view name, std::uint32_t low, std::uint32_t high) const {
    const std::uint32_t value = file_.metadata().require_u32(key(name));
    check(value >= low && value <= high, name, fmt::format("{} to {}", low, high),
          fmt::format("{}", value));
    return static_cast<int>(value);
  }

  void check(bool good, std::string_view name, std::string_view expected,
             std::string_view found) const {
    if (good) return;
    throw FormatError(
        fmt::format("{}: key '{}' should be {} but is {}; the file is damaged or was "
                    "made for another model",
                    file_.path(), key(name), expected, found));
  }

  const gguf::Metadata& metadata() const { return file_.metadata(); }
  const std::string& path() const { return file_.path(); }

 private:
  const gguf::File& file_;
};

void check_architecture(const gguf::File& file) {
  const auto architecture = file.metadata().find_string("general.architecture");
  if (!architecture) {
    throw FormatError(
        fmt::format("{}: key 'general.architecture' is missing; expected 'qwen35'", file.path()));
  }
  if (*architecture == "clip") {
    throw UnsupportedError(
        fmt::format("{}: this is a vision projector (mmproj), not a text model; "
                    "give the text model with -m",
                    file.path()));
  }
  if (*architecture != "qwen35") {
    throw UnsupportedError(
        fmt::format("{}: architecture '{}' is not supported; Foretoken runs dense Qwen3.5 models "
                    "(general.architecture = qwen35)",
                    file.path(), *architecture));
  }
  const auto type = file.metadata().find_string("general.type");
  if (type && *type != "model") {
    throw UnsupportedError(
        fmt::format("{}: general.type is '{}'; expected a 'model' file", file.path(), *type));
  }
}

void read_attention(const Reader& reader, Config& config) {
  config.n_heads = reader.count("attention.head_count", 1, kMaxHeads);
  config.n_kv_heads = reader.count("attention.head_count_kv", 1, kMaxHeads);
  reader.check(config.n_heads % config.n_kv_heads == 0, "attention.head_count",
               fmt::format("a multiple of attention.head_count_kv ({})", config.n_kv_heads),
               fmt::format("{}", config.n_heads));
  config.head_dim = reader.count("attention.key_length", 32, 256);
  reader.check(config.head_dim % 32 == 0, "attention.key_length", "a multiple of 32",
               fmt::format("{}", config.head_dim));
  const int value_length = reader.count("attention.value_length", 32, 256);
  reader.check(value_length == config.head_dim, "attention.value_length",
               fmt::format("equal to attention.key_length ({})", config.head_dim),
               fmt::format("{}", value_length));
  config.eps = reader.metadata().require_f32(Reader::key("attention.layer_norm_rms_epsilon"));
  reader.check(config.eps > 0.0F && config.eps < 1.0F, "attention.layer_norm_rms_epsilon",
               "between 0 and 1", fmt::format("{}", config.eps));
}

void read_rope(const Reader& reader, Config& config) {
  const auto& metadata = reader.metadata();
  config.n_rot =
      reader.count("rope.dimension_count", 2, static_cast<std::uint32_t>(config.head_dim));
  reader.check(config.n_rot % 2 == 0, "rope.dimension_count", "even",
               fmt::format("{}", config.n_rot));
  config.rope_base = metadata.require_f32(Reader::key("rope.freq_base"));
  reader.check(config.rope_base > 1.0F && config.rope_base < 1e12F, "rope.freq_base",
               "between 1 and 1e12", fmt::format("{}", config.rope_base));
  const auto scaling = metadata.find_string(Reader::key("rope.scaling.type"));
  if (scaling && *scaling != "none") {
    throw UnsupportedError(
        fmt::format("{}: key '{}' asks for '{}' scaling, which this engine does not "
                    "do; use a file without rope scaling",
                    reader.path(), Reader::key("rope.scaling.type"), *scaling));
  }
  // Files of other writers hold three sections, llama.cpp's hold four with a zero.
  const auto sections = metadata.find_i32_array(Reader::key("rope.dimension_sections"));
  reader.check(sections.has_value(), "rope.dimension_sections", "an array of 3 or 4 integers",
               "missing");
  reader.check(sections->size() == 3 || sections->size() == 4, "rope.dimension_sections",
               "an array of 3 or 4 integers", fmt::format("{} values", sections->size()));
  int sum = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const int pairs = (*sections)[axis];
    reader.check(pairs >= 0 && pairs <= config.n_rot, "rope.dimension_sections",
                 "made of counts of rotated pairs", fmt::format("{}", pairs));
    config.rope_sections[axis] = pairs;
    sum += pairs;
  }
  reader.check(sum == config.n_rot / 2, "rope.dimension_sections",
               fmt::format("of sum {} (half of rope.dimension_count)", config.n_rot / 2),
               fmt::format("of sum {}", sum));
}

void read_delta_net(const Reader& reader, Config& config) {
  reader.count("ssm.conv_kernel", 4, 4);
  kernels::DeltaNetShape& delta = config.delta;
  delta.d_k = reader.count("ssm.state_size", 16, 256);
  delta.n_k_heads = reader.count("ssm.group_count", 1, kMaxHeads);
  delta.n_v_heads = reader.count("ssm.time_step_rank", 1, kMaxHeads);
  const int inner = reader.count("ssm.inner_size", 16, kMaxWidth);
  reader.check(delta.d_k % 16 == 0, "ssm.state_size", "a multiple of 16",
               fmt::format("{}", delta.d_k));
  reader.check(delta.n_v_heads % delta.n_k_heads == 0, "ssm.time_step_rank",
               fmt::format("a multiple of ssm.group_count ({})", delta.n_k_heads),
               fmt::format("{}", delta.n_v_heads));
  reader.check(inner % delta.n_v_heads == 0 && inner / delta.n_v_heads == delta.d_k,
               "ssm.inner_size",
               fmt::format("ssm.time_step_rank x ssm.state_size = {}", delta.n_v_heads * delta.d_k),
               fmt::format("{}", inner));
  delta.d_v = delta.d_k;
}

void read_layer_kinds(const Reader& reader, int n_blocks, Config& config) {
  config.is_recurrent.assign(static_cast<std::size_t>(config.n_layers), false);
  const auto flags = reader.metadata().find_bool_array(Reader::key("attention.recurrent_layers"));
  if (flags) {
    reader.check(flags->size() == static_cast<std::size_t>(n_blocks), "attention.recurrent_layers",
                 fmt::format("{} flags, one a block", n_blocks),
                 fmt::format("{} flags", flags->size()));
    for (std::size_t i = 0; i < config.is_recurrent.size(); ++i) {
      config.is_recurrent[i] = static_cast<bool>((*flags)[i]);
    }
    return;
  }
  const auto interval_key = Reader::key("full_attention_interval");
  const std::uint32_t interval = reader.metadata().find_u32(interval_key).value_or(4);
  reader.check(interval >= 1 && interval <= kMaxBlocks, "full_attention_interval", "1 to 512",
               fmt::format("{}", interval));
  for (std::size_t i = 0; i < config.is_recurrent.size(); ++i) {
    config.is_recurrent[i] = (i + 1) % interval != 0;
  }
}

}  // namespace

int Config::n_recurrent_layers() const {
  return static_cast<int>(std::count(is_recurrent.begin(), is_recurrent.end(), true));
}

Config read_config(const gguf::File& file) {
  check_architecture(file);
  const Reader reader(file);
  Config config;
  const int n_blocks = reader.count("block_count", 1, kMaxBlocks);
  const auto n_mtp = file.metadata().find_u32(Reader::key("nextn_predict_layers")).value_or(0);
  reader.check(n_mtp < static_cast<std::uint32_t>(n_blocks), "nextn_predict_layers",
               fmt::format("less than block_count ({})", n_blocks), fmt::format("{}", n_mtp));
  config.n_mtp_layers = static_cast<int>(n_mtp);
  config.n_layers = n_blocks - config.n_mtp_layers;
  config.d_model = reader.count("embedding_length", 32, kMaxWidth);
  config.d_ff = reader.count("feed_forward_length", 32, kMaxWidth);
  config.n_context_train = reader.count("context_length", 1, 1U << 24);
  read_attention(reader, config);
  read_rope(reader, config);
  read_delta_net(reader, config);
  read_layer_kinds(reader, n_blocks, config);

  const gguf::TensorInfo* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2) {
    throw FormatError(
        fmt::format("{}: tensor 'token_embd.weight' is missing or not a matrix{}", file.path(),
                    file.tensors().empty() ? " (this is a vocabulary-only file)" : ""));
  }
  if (embedding->shape[0] == 0 || embedding->shape[0] > kMaxVocab) {
    throw FormatError(fmt::format("{}: tensor 'token_embd.weight' has {} rows; expected 1 to {}",
                                  file.path(), embedding->shape[0], kMaxVocab));
  }
  config.n_vocab = static_cast<int>(embedding->shape[0]);
  return config;
}

}  // namespace foretoken::model::qwen35
