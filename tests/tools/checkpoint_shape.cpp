#include "checkpoint_shape.h"

#include <fmt/format.h>

#include "base/error.h"

namespace foretoken::testing {
namespace {

using nlohmann::ordered_json;
using safetensors::DType;

constexpr int kFullVocab = 248320;
constexpr int kFullBase = 248044;
constexpr int kFullMerges = 247587;
constexpr int kFullContext = 262144;
constexpr std::array kFullSections = {11, 11, 10};
constexpr int kConvKernel = 4;
constexpr int kInterval = 4;
constexpr int kPatch = 16;
constexpr int kTemporalPatch = 2;
constexpr int kMerge = 2;
constexpr int kChannels = 3;

// One of the published sizes; everything not listed is the same in all of them.
constexpr CheckpointShape published(std::string_view name, int d_model, int n_layers, int d_ff,
                                    int n_heads, int n_kv_heads, int n_v_heads, bool tied,
                                    VisionShape vision) {
  return {.name = name,
          .d_model = d_model,
          .n_layers = n_layers,
          .d_ff = d_ff,
          .n_heads = n_heads,
          .n_kv_heads = n_kv_heads,
          .head_dim = 256,
          .n_k_heads = 16,
          .n_v_heads = n_v_heads,
          .d_k = 128,
          .tied = tied,
          .rope_sections = kFullSections,
          .n_context = kFullContext,
          .n_vocab = kFullVocab,
          .n_base_tokens = kFullBase,
          .n_merges = kFullMerges,
          .vision = vision};
}

// "tiny" has the shape of models/tiny.
constexpr std::array kShapes = {
    CheckpointShape{.name = "tiny",
                    .d_model = 256,
                    .n_layers = 8,
                    .d_ff = 512,
                    .n_heads = 4,
                    .n_kv_heads = 2,
                    .head_dim = 64,
                    .n_k_heads = 2,
                    .n_v_heads = 4,
                    .d_k = 64,
                    .tied = false,
                    .rope_sections = {3, 3, 2},
                    .n_context = 32768,
                    .n_vocab = 2048,
                    .n_base_tokens = 2006,
                    .n_merges = 1750,
                    .vision = {2, 128, 4, 256, 256}},
    published("0.8b", 1024, 24, 3584, 8, 2, 16, true, {12, 768, 12, 3072, 2304}),
    published("2b", 2048, 24, 6144, 8, 2, 16, true, {24, 1024, 16, 4096, 2304}),
    published("4b", 2560, 32, 9216, 16, 4, 32, true, {24, 1024, 16, 4096, 2304}),
    published("9b", 4096, 32, 12288, 16, 4, 32, false, {27, 1152, 16, 4304, 2304}),
    published("27b", 5120, 64, 17408, 24, 4, 48, false, {27, 1152, 16, 4304, 2304}),
};

bool is_recurrent(int layer) { return (layer + 1) % kInterval != 0; }

// Collects tensors under a common prefix.
class TensorList {
 public:
  void set_prefix(std::string prefix) { prefix_ = std::move(prefix); }
  void add(std::string_view name, std::vector<int> shape, Spread spread, DType type = DType::BF16) {
    tensors_.push_back({prefix_ + std::string(name), type, {shape.begin(), shape.end()}, spread});
  }
  std::vector<CheckpointTensor> take() { return std::move(tensors_); }

 private:
  std::string prefix_;
  std::vector<CheckpointTensor> tensors_;
};

void add_delta_net(const CheckpointShape& s, TensorList& list) {
  const int channels = 2 * s.key_width() + s.value_width();
  list.add("linear_attn.in_proj_qkv.weight", {channels, s.d_model}, Spread::Matrix);
  list.add("linear_attn.in_proj_z.weight", {s.value_width(), s.d_model}, Spread::Matrix);
  list.add("linear_attn.in_proj_b.weight", {s.n_v_heads, s.d_model}, Spread::Matrix);
  list.add("linear_attn.in_proj_a.weight", {s.n_v_heads, s.d_model}, Spread::Matrix);
  list.add("linear_attn.conv1d.weight", {channels, 1, kConvKernel}, Spread::Kernel);
  list.add("linear_attn.A_log", {s.n_v_heads}, Spread::LogDecay, DType::F32);
  list.add("linear_attn.dt_bias", {s.n_v_heads}, Spread::TimeStep);
  list.add("linear_attn.norm.weight", {s.d_k}, Spread::Gain, DType::F32);
  list.add("linear_attn.out_proj.weight", {s.d_model, s.value_width()}, Spread::Matrix);
}

void add_attention(const CheckpointShape& s, TensorList& list) {
  const int q_width = s.n_heads * s.head_dim;
  const int kv_width = s.n_kv_heads * s.head_dim;
  list.add("self_attn.q_proj.weight", {2 * q_width, s.d_model}, Spread::Matrix);
  list.add("self_attn.k_proj.weight", {kv_width, s.d_model}, Spread::Matrix);
  list.add("self_attn.v_proj.weight", {kv_width, s.d_model}, Spread::Matrix);
  list.add("self_attn.o_proj.weight", {s.d_model, q_width}, Spread::Matrix);
  list.add("self_attn.q_norm.weight", {s.head_dim}, Spread::Offset);
  list.add("self_attn.k_norm.weight", {s.head_dim}, Spread::Offset);
}

void add_layer(const CheckpointShape& s, bool recurrent, TensorList& list) {
  list.add("input_layernorm.weight", {s.d_model}, Spread::Offset);
  list.add("post_attention_layernorm.weight", {s.d_model}, Spread::Offset);
  if (recurrent) {
    add_delta_net(s, list);
  } else {
    add_attention(s, list);
  }
  list.add("mlp.gate_proj.weight", {s.d_ff, s.d_model}, Spread::Matrix);
  list.add("mlp.up_proj.weight", {s.d_ff, s.d_model}, Spread::Matrix);
  list.add("mlp.down_proj.weight", {s.d_model, s.d_ff}, Spread::Matrix);
}

void add_mtp(const CheckpointShape& s, TensorList& list) {
  list.set_prefix("mtp.");
  list.add("fc.weight", {s.d_model, 2 * s.d_model}, Spread::Matrix);
  list.add("pre_fc_norm_embedding.weight", {s.d_model}, Spread::Offset);
  list.add("pre_fc_norm_hidden.weight", {s.d_model}, Spread::Offset);
  list.add("norm.weight", {s.d_model}, Spread::Offset);
  list.set_prefix("mtp.layers.0.");
  add_layer(s, false, list);
}

void add_linear(std::string_view name, int n_out, int n_in, TensorList& list) {
  list.add(fmt::format("{}.weight", name), {n_out, n_in}, Spread::Matrix);
  list.add(fmt::format("{}.bias", name), {n_out}, Spread::Offset);
}

void add_vision(const CheckpointShape& s, TensorList& list) {
  const VisionShape& v = s.vision;
  const int merged = v.d_model * kMerge * kMerge;
  const auto norm = [&](std::string_view name) {
    list.add(fmt::format("{}.weight", name), {v.d_model}, Spread::Gain);
    list.add(fmt::format("{}.bias", name), {v.d_model}, Spread::Offset);
  };
  list.set_prefix("model.visual.");
  list.add("patch_embed.proj.weight", {v.d_model, kChannels, kTemporalPatch, kPatch, kPatch},
           Spread::Matrix);
  list.add("patch_embed.proj.bias", {v.d_model}, Spread::Offset);
  list.add("pos_embed.weight", {v.n_positions, v.d_model}, Spread::Offset);
  for (int i = 0; i < v.n_layers; ++i) {
    list.set_prefix(fmt::format("model.visual.blocks.{}.", i));
    norm("norm1");
    norm("norm2");
    add_linear("attn.qkv", 3 * v.d_model, v.d_model, list);
    add_linear("attn.proj", v.d_model, v.d_model, list);
    add_linear("mlp.linear_fc1", v.d_ff, v.d_model, list);
    add_linear("mlp.linear_fc2", v.d_model, v.d_ff, list);
  }
  list.set_prefix("model.visual.");
  norm("merger.norm");
  add_linear("merger.linear_fc1", merged, merged, list);
  add_linear("merger.linear_fc2", s.d_model, merged, list);
}

// The added tokens come right behind the base vocabulary, so the offsets are the same in all.
int added_token(const CheckpointShape& s, int published_id) {
  return s.n_base_tokens + published_id - kFullBase;
}

ordered_json text_config(const CheckpointShape& s) {
  ordered_json layer_types = ordered_json::array();
  for (int i = 0; i < s.n_layers; ++i) {
    layer_types.push_back(is_recurrent(i) ? "linear_attention" : "full_attention");
  }
  return {{"attention_bias", false},
          {"attention_dropout", 0.0},
          {"attn_output_gate", true},
          {"dtype", "bfloat16"},
          {"eos_token_id", s.n_base_tokens},
          {"full_attention_interval", kInterval},
          {"head_dim", s.head_dim},
          {"hidden_act", "silu"},
          {"hidden_size", s.d_model},
          {"initializer_range", 0.02},
          {"intermediate_size", s.d_ff},
          {"layer_types", layer_types},
          {"linear_conv_kernel_dim", kConvKernel},
          {"linear_key_head_dim", s.d_k},
          {"linear_num_key_heads", s.n_k_heads},
          {"linear_num_value_heads", s.n_v_heads},
          {"linear_value_head_dim", s.d_k},
          {"mamba_ssm_dtype", "float32"},
          {"max_position_embeddings", s.n_context},
          {"mlp_only_layers", ordered_json::array()},
          {"model_type", "qwen3_5_text"},
          {"mtp_num_hidden_layers", 1},
          {"mtp_use_dedicated_embeddings", false},
          {"num_attention_heads", s.n_heads},
          {"num_hidden_layers", s.n_layers},
          {"num_key_value_heads", s.n_kv_heads},
          {"rms_norm_eps", 1e-6},
          {"rope_parameters",
           {{"mrope_interleaved", true},
            {"mrope_section", s.rope_sections},
            {"partial_rotary_factor", 0.25},
            {"rope_theta", 10000000},
            {"rope_type", "default"}}},
          {"tie_word_embeddings", s.tied},
          {"use_cache", true},
          {"vocab_size", s.n_vocab}};
}

ordered_json vision_config(const CheckpointShape& s) {
  return {{"deepstack_visual_indexes", ordered_json::array()},
          {"depth", s.vision.n_layers},
          {"hidden_act", "gelu_pytorch_tanh"},
          {"hidden_size", s.vision.d_model},
          {"in_channels", kChannels},
          {"initializer_range", 0.02},
          {"intermediate_size", s.vision.d_ff},
          {"model_type", "qwen3_5_vision"},
          {"num_heads", s.vision.n_heads},
          {"num_position_embeddings", s.vision.n_positions},
          {"out_hidden_size", s.d_model},
          {"patch_size", kPatch},
          {"spatial_merge_size", kMerge},
          {"temporal_patch_size", kTemporalPatch}};
}

}  // namespace

std::span<const CheckpointShape> checkpoint_shapes() { return kShapes; }

const CheckpointShape& checkpoint_shape(std::string_view name) {
  std::string names;
  for (const CheckpointShape& shape : kShapes) {
    if (shape.name == name) return shape;
    names += fmt::format(" {}", shape.name);
  }
  throw RequestError(fmt::format("no shape is called '{}'; there are{}", name, names));
}

std::vector<CheckpointTensor> checkpoint_tensors(const CheckpointShape& shape,
                                                 const CheckpointParts& parts) {
  TensorList list;
  if (!shape.tied) list.add("lm_head.weight", {shape.n_vocab, shape.d_model}, Spread::Vocabulary);
  list.set_prefix("model.language_model.");
  list.add("embed_tokens.weight", {shape.n_vocab, shape.d_model}, Spread::Vocabulary);
  for (int i = 0; i < shape.n_layers; ++i) {
    list.set_prefix(fmt::format("model.language_model.layers.{}.", i));
    add_layer(shape, is_recurrent(i), list);
  }
  list.set_prefix("model.language_model.");
  list.add("norm.weight", {shape.d_model}, Spread::Offset);
  if (parts.vision) add_vision(shape, list);
  if (parts.mtp) add_mtp(shape, list);
  return list.take();
}

ordered_json checkpoint_config(const CheckpointShape& shape, const CheckpointParts& parts) {
  ordered_json out = {{"architectures", {"Qwen3_5ForConditionalGeneration"}},
                      {"image_token_id", added_token(shape, 248056)},
                      {"model_type", "qwen3_5"},
                      {"text_config", text_config(shape)},
                      {"tie_word_embeddings", shape.tied},
                      {"transformers_version", "4.57.0.dev0"},
                      {"video_token_id", added_token(shape, 248057)}};
  if (parts.vision) out["vision_config"] = vision_config(shape);
  out["vision_end_token_id"] = added_token(shape, 248054);
  out["vision_start_token_id"] = added_token(shape, 248053);
  return out;
}

ordered_json image_config() {
  return {{"size", {{"longest_edge", 16777216}, {"shortest_edge", 65536}}},
          {"patch_size", kPatch},
          {"temporal_patch_size", kTemporalPatch},
          {"merge_size", kMerge},
          {"image_mean", {0.5, 0.5, 0.5}},
          {"image_std", {0.5, 0.5, 0.5}},
          {"processor_class", "Qwen3VLProcessor"},
          {"image_processor_type", "Qwen2VLImageProcessorFast"}};
}

}  // namespace foretoken::testing
