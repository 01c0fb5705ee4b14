#include "convert/hf_config.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "convert/json_node.h"

namespace foretoken::convert {
namespace {

// Upper bounds far above any model of the family; they keep every product below in range of int.
constexpr std::int64_t kMaxWidth = 1 << 17;
constexpr std::int64_t kMaxHeads = 1024;
constexpr std::int64_t kMaxHeadDim = 1024;
constexpr std::int64_t kMaxLayers = 511;
constexpr std::int64_t kMaxMtpLayers = 16;
constexpr std::int64_t kMaxVocab = 1 << 22;
constexpr std::int64_t kMaxContext = 1 << 24;

/// The text model's members: those of text_config, else those at the top.
class TextMembers {
 public:
  explicit TextMembers(const JsonNode& root) : root_(root), text_(root.get("text_config")) {}

  JsonNode get(std::string_view key) const {
    if (!text_.is_null()) {
      JsonNode member = text_.get(key);
      // A missing member is named where it is expected.
      if (!member.is_null() || root_.get(key).is_null()) return member;
    }
    return root_.get(key);
  }
  int count(std::string_view key, std::int64_t low, std::int64_t high) const {
    return static_cast<int>(get(key).require_int(low, high));
  }
  int count_or(std::string_view key, std::int64_t low, std::int64_t high, int fallback) const {
    return get(key).is_null() ? fallback : count(key, low, high);
  }

 private:
  JsonNode root_;
  JsonNode text_;
};

void check_architecture(const JsonNode& root, const TextMembers& text) {
  const JsonNode architectures = root.get("architectures");
  if (!architectures.is_null() && architectures.size() > 0) {
    const JsonNode first = architectures.at(0);
    const std::string& name = first.require_string();
    if (name != "Qwen3_5ForConditionalGeneration" && name != "Qwen3_5ForCausalLM") {
      first.throw_unsupported(
          "\"Qwen3_5ForConditionalGeneration\" or \"Qwen3_5ForCausalLM\": the dense models of the "
          "Qwen3.5 family");
    }
  }
  for (const JsonNode& type : {root.get("model_type"), text.get("model_type")}) {
    if (type.is_null()) continue;
    if (type.require_string() != "qwen3_5" && type.require_string() != "qwen3_5_text") {
      type.throw_unsupported("\"qwen3_5\" or \"qwen3_5_text\"");
    }
  }
  if (architectures.is_null() && root.get("model_type").is_null()) {
    root.get("architectures").throw_type("the name of the model's class");
  }
}

/// Members whose other values change the mathematics.
void check_variants(const TextMembers& text) {
  if (!text.get("attn_output_gate").bool_or(true))
    text.get("attn_output_gate").throw_unsupported("true");
  if (text.get("attention_bias").bool_or(false))
    text.get("attention_bias").throw_unsupported("false");
  const JsonNode activation = text.get("hidden_act");
  if (!activation.is_null() && activation.require_string() != "silu") {
    activation.throw_unsupported("\"silu\"");
  }
  const JsonNode gate = text.get("output_gate_type");
  if (!gate.is_null() && gate.require_string() != "swish" && gate.require_string() != "silu") {
    gate.throw_unsupported("\"swish\"");
  }
  if (text.get("mtp_use_dedicated_embeddings").bool_or(false)) {
    text.get("mtp_use_dedicated_embeddings").throw_unsupported("false");
  }
  const JsonNode experts = text.get("num_experts");
  if (!experts.is_null() && experts.require_int(0, kMaxWidth) > 0) {
    experts.throw_unsupported("a dense model, without experts");
  }
}

void read_attention(const TextMembers& text, HfConfig& config) {
  config.n_heads = text.count("num_attention_heads", 1, kMaxHeads);
  config.n_kv_heads = text.count("num_key_value_heads", 1, kMaxHeads);
  if (config.n_heads % config.n_kv_heads != 0) {
    text.get("num_attention_heads")
        .throw_type(fmt::format("a multiple of num_key_value_heads ({})", config.n_kv_heads));
  }
  config.head_dim = text.count_or("head_dim", 1, kMaxHeadDim, 256);
}

void read_delta_net(const TextMembers& text, HfConfig& config) {
  const JsonNode kernel = text.get("linear_conv_kernel_dim");
  if (!kernel.is_null() && kernel.require_int(1, 64) != config.conv_kernel) {
    kernel.throw_unsupported("4");
  }
  config.n_k_heads = text.count("linear_num_key_heads", 1, kMaxHeads);
  config.n_v_heads = text.count("linear_num_value_heads", 1, kMaxHeads);
  config.d_k = text.count("linear_key_head_dim", 1, kMaxHeadDim);
  config.d_v = text.count("linear_value_head_dim", 1, kMaxHeadDim);
  if (config.n_v_heads % config.n_k_heads != 0) {
    text.get("linear_num_value_heads")
        .throw_type(fmt::format("a multiple of linear_num_key_heads ({})", config.n_k_heads));
  }
  if (config.d_k != config.d_v) {
    text.get("linear_value_head_dim")
        .throw_unsupported(fmt::format("linear_key_head_dim ({}): the file format has one width "
                                       "for both kinds of heads",
                                       config.d_k));
  }
}

void read_layer_kinds(const TextMembers& text, HfConfig& config) {
  const auto n_layers = static_cast<std::size_t>(config.n_layers);
  config.full_attention_interval = text.count_or("full_attention_interval", 1, 512, 4);
  config.is_recurrent.resize(n_layers);
  const JsonNode kinds = text.get("layer_types");
  if (!kinds.is_null() && kinds.size() != n_layers) {
    throw FormatError(fmt::format("{}: '{}' has {} entries; num_hidden_layers is {}", config.path,
                                  kinds.path(), kinds.size(), n_layers));
  }
  const auto interval = static_cast<std::size_t>(config.full_attention_interval);
  for (std::size_t i = 0; i < n_layers; ++i) {
    config.is_recurrent[i] = (i + 1) % interval != 0;
    if (kinds.is_null()) continue;
    const std::string& kind = kinds.at(i).require_string();
    if (kind != "linear_attention" && kind != "full_attention") {
      kinds.at(i).throw_unsupported("\"linear_attention\" or \"full_attention\"");
    }
    config.is_recurrent[i] = kind == "linear_attention";
  }
}

/// The member of rope_parameters, or of its older name, or a null node.
JsonNode rope_member(const TextMembers& text, std::string_view key) {
  for (const char* group : {"rope_parameters", "rope_scaling"}) {
    const JsonNode rope = text.get(group);
    if (!rope.is_null()) {
      JsonNode member = rope.get(key);
      if (!member.is_null()) return member;
    }
  }
  return text.get(key);
}

std::optional<double> optional_number(const JsonNode& node) {
  if (node.is_null()) return std::nullopt;
  return node.require_number(-1e6, 1e6);
}

void read_rope_scaling(const TextMembers& text, HfConfig& config) {
  JsonNode type = rope_member(text, "rope_type");
  if (type.is_null()) type = rope_member(text, "type");
  if (type.is_null() || type.require_string() == "default") return;
  // Early files of multi-axis rope say "mrope" here and mean no scaling.
  if (type.require_string() == "mrope") return;
  HfRopeScaling scaling;
  scaling.type = type.require_string();
  if (scaling.type != "yarn" && scaling.type != "linear") {
    type.throw_unsupported("\"default\", \"yarn\" or \"linear\"");
  }
  scaling.factor = rope_member(text, "factor").require_number(1e-3, 1e6);
  if (scaling.type == "yarn") {
    scaling.original_context = static_cast<int>(
        rope_member(text, "original_max_position_embeddings").require_int(1, kMaxContext));
    scaling.extrapolation_factor = optional_number(rope_member(text, "extrapolation_factor"));
    scaling.attention_factor = optional_number(rope_member(text, "attention_factor"));
    if (!scaling.attention_factor) {
      scaling.attention_factor = optional_number(rope_member(text, "attn_factor"));
    }
    scaling.beta_fast = optional_number(rope_member(text, "beta_fast"));
    scaling.beta_slow = optional_number(rope_member(text, "beta_slow"));
  }
  config.rope_scaling = scaling;
}

void read_rope(const TextMembers& text, HfConfig& config) {
  const JsonNode theta = rope_member(text, "rope_theta");
  if (!theta.is_null()) config.rope_theta = theta.require_number(1.0, 1e12);
  const JsonNode factor = rope_member(text, "partial_rotary_factor");
  if (!factor.is_null()) config.partial_rotary_factor = factor.require_number(1e-3, 1.0);
  if (config.n_rot() < 2 || config.n_rot() % 2 != 0) {
    factor.throw_type(fmt::format("a share of head_dim ({}) that is an even number of dimensions",
                                  config.head_dim));
  }
  const JsonNode sections = rope_member(text, "mrope_section");
  config.rope_sections = {11, 11, 10, 0};  // what the reference takes when nothing is said
  if (!sections.is_null()) {
    if (sections.size() < 3 || sections.size() > 4) sections.throw_type("3 or 4 integers");
    for (std::size_t i = 0; i < sections.size(); ++i) {
      config.rope_sections[i] = static_cast<int>(sections.at(i).require_int(0, kMaxHeadDim));
    }
  }
  int sum = 0;
  for (const int pairs : config.rope_sections) sum += pairs;
  if (sum != config.n_rot() / 2) {
    throw FormatError(fmt::format(
        "{}: 'mrope_section' adds up to {}; expected {}, half of the rotated dimensions of a head "
        "(head_dim {} x partial_rotary_factor {})",
        config.path, sum, config.n_rot() / 2, config.head_dim, config.partial_rotary_factor));
  }
  if (!rope_member(text, "mrope_interleaved").bool_or(true)) {
    rope_member(text, "mrope_interleaved").throw_unsupported("true");
  }
  read_rope_scaling(text, config);
}

std::optional<HfVisionConfig> read_vision(const JsonNode& node) {
  if (node.is_null()) return std::nullopt;
  const auto count = [&node](std::string_view key, std::int64_t low, std::int64_t high) {
    return static_cast<int>(node.get(key).require_int(low, high));
  };
  const auto count_or = [&](std::string_view key, std::int64_t low, std::int64_t high, int value) {
    return node.get(key).is_null() ? value : count(key, low, high);
  };
  HfVisionConfig vision;
  vision.n_layers = count("depth", 1, kMaxLayers);
  vision.d_model = count("hidden_size", 1, kMaxWidth);
  vision.d_ff = count("intermediate_size", 1, kMaxWidth);
  vision.n_heads = count("num_heads", 1, kMaxHeads);
  vision.n_channels = count_or("in_channels", 1, 16, 3);
  vision.patch_size = count_or("patch_size", 1, 256, 16);
  vision.temporal_patch_size = count_or("temporal_patch_size", 1, 16, 2);
  vision.merge_size = count_or("spatial_merge_size", 1, 16, 2);
  vision.n_positions = count_or("num_position_embeddings", 1, 1 << 20, 2304);
  vision.d_out = count("out_hidden_size", 1, kMaxWidth);
  const JsonNode deepstack = node.get("deepstack_visual_indexes");
  for (std::size_t i = 0; !deepstack.is_null() && i < deepstack.size(); ++i) {
    vision.deepstack_layers.push_back(
        static_cast<int>(deepstack.at(i).require_int(0, vision.n_layers - 1)));
  }
  return vision;
}

/// A string, or nothing when it is absent or empty.
std::optional<std::string> optional_text(const JsonNode& node) {
  if (node.is_null() || node.require_string().empty()) return std::nullopt;
  return node.require_string();
}

std::optional<std::string> read_quantization(const JsonNode& node) {
  if (node.is_null()) return std::nullopt;
  const JsonNode method = node.get("quant_method");
  return method.is_null() ? "an unnamed method" : printable(method.require_string());
}

}  // namespace

HfConfig parse_hf_config(std::string_view text, const std::string& path) {
  const nlohmann::ordered_json document = parse_json_object(text, path);
  const JsonNode root(document, path);
  const TextMembers members(root);
  check_architecture(root, members);
  check_variants(members);
  HfConfig config;
  config.path = path;
  config.n_layers = members.count("num_hidden_layers", 1, kMaxLayers);
  config.n_mtp_layers = members.count_or("mtp_num_hidden_layers", 0, kMaxMtpLayers, 0);
  config.d_model = members.count("hidden_size", 1, kMaxWidth);
  config.d_ff = members.count("intermediate_size", 1, kMaxWidth);
  config.n_vocab = members.count("vocab_size", 1, kMaxVocab);
  config.n_context_train = members.count("max_position_embeddings", 1, kMaxContext);
  config.rms_eps = members.get("rms_norm_eps").require_number(1e-12, 0.1);
  // Written twice, and the two copies are known to differ.
  const JsonNode inner_tie = members.get("tie_word_embeddings");
  config.ties_embeddings =
      inner_tie.bool_or(false) || root.get("tie_word_embeddings").bool_or(false);
  read_attention(members, config);
  read_delta_net(members, config);
  read_layer_kinds(members, config);
  read_rope(members, config);
  config.vision = read_vision(root.get("vision_config"));
  config.name_or_path = optional_text(root.get("_name_or_path"));
  config.quantization_method = read_quantization(members.get("quantization_config"));
  return config;
}

HfConfig read_hf_config(const std::string& folder) {
  const std::string path = folder + "/config.json";
  return parse_hf_config(read_text_file(path, std::size_t{16} << 20), path);
}

}  // namespace foretoken::convert
