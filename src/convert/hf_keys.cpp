#include "convert/hf_keys.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string_view>
#include <vector>

namespace foretoken::convert {
namespace {

/// Sets keys under one prefix.
class KeyGroup {
 public:
  KeyGroup(std::string_view prefix, gguf::Writer& keys) : prefix_(prefix), keys_(keys) {}

  void u32(std::string_view name, int value) {
    keys_.set_u32(key(name), static_cast<std::uint32_t>(value));
  }
  void f32(std::string_view name, double value) {
    keys_.set_f32(key(name), static_cast<float>(value));
  }
  void f32(std::string_view name, const std::optional<double>& value) {
    if (value) f32(name, *value);
  }
  void text(std::string_view name, std::string_view value) { keys_.set_string(key(name), value); }
  void flag(std::string_view name, bool value) { keys_.set_bool(key(name), value); }
  void flags(std::string_view name, const std::vector<bool>& values) {
    keys_.set_bool_array(key(name), values);
  }
  void i32s(std::string_view name, std::span<const std::int32_t> values) {
    keys_.set_i32_array(key(name), values);
  }
  void f32s(std::string_view name, std::span<const float> values) {
    keys_.set_f32_array(key(name), values);
  }

 private:
  std::string key(std::string_view name) const { return fmt::format("{}.{}", prefix_, name); }

  std::string_view prefix_;
  gguf::Writer& keys_;
};

void write_rope_scaling(const HfRopeScaling& scaling, KeyGroup& group) {
  group.text("rope.scaling.type", scaling.type);
  group.f32("rope.scaling.factor", scaling.factor);
  if (scaling.original_context) {
    group.u32("rope.scaling.original_context_length", *scaling.original_context);
  }
  group.f32("rope.scaling.yarn_ext_factor", scaling.extrapolation_factor);
  group.f32("rope.scaling.yarn_attn_factor", scaling.attention_factor);
  group.f32("rope.scaling.yarn_beta_fast", scaling.beta_fast);
  group.f32("rope.scaling.yarn_beta_slow", scaling.beta_slow);
}

}  // namespace

void write_text_keys(const HfConfig& config, std::uint32_t file_type, gguf::Writer& keys) {
  KeyGroup group("qwen35", keys);
  group.u32("block_count", config.n_layers + config.n_mtp_layers);
  group.u32("context_length", config.n_context_train);
  group.u32("embedding_length", config.d_model);
  group.u32("feed_forward_length", config.d_ff);
  group.u32("attention.head_count", config.n_heads);
  group.u32("attention.head_count_kv", config.n_kv_heads);
  if (config.rope_scaling) write_rope_scaling(*config.rope_scaling, group);
  group.i32s("rope.dimension_sections", config.rope_sections);
  group.f32("rope.freq_base", config.rope_theta);
  group.f32("attention.layer_norm_rms_epsilon", config.rms_eps);
  group.u32("attention.key_length", config.head_dim);
  group.u32("attention.value_length", config.head_dim);
  keys.set_u32("general.file_type", file_type);
  if (config.n_mtp_layers > 0) group.u32("nextn_predict_layers", config.n_mtp_layers);
  group.u32("ssm.conv_kernel", config.conv_kernel);
  group.u32("ssm.state_size", config.d_k);
  group.u32("ssm.group_count", config.n_k_heads);
  group.u32("ssm.time_step_rank", config.n_v_heads);
  group.u32("ssm.inner_size", config.value_width());
  std::vector<bool> recurrent = config.is_recurrent;
  recurrent.resize(recurrent.size() + static_cast<std::size_t>(config.n_mtp_layers), false);
  group.flags("attention.recurrent_layers", recurrent);
  group.u32("full_attention_interval", config.full_attention_interval);
  group.u32("rope.dimension_count", config.n_rot());
}

void write_vision_keys(const HfConfig& config, const ImageStatistics& image,
                       std::uint32_t file_type, gguf::Writer& keys) {
  const HfVisionConfig& vision = *config.vision;
  keys.set_u32("general.file_type", file_type);
  KeyGroup group("clip", keys);
  group.flag("has_vision_encoder", true);
  group.u32("vision.projection_dim", config.d_model);
  // The position table is a square of patches.
  const int side = static_cast<int>(std::sqrt(vision.n_positions) * vision.patch_size);
  group.u32("vision.image_size", side);
  group.u32("vision.patch_size", vision.patch_size);
  group.u32("vision.embedding_length", vision.d_model);
  group.u32("vision.feed_forward_length", vision.d_ff);
  group.u32("vision.block_count", vision.n_layers);
  group.u32("vision.attention.head_count", vision.n_heads);
  group.f32s("vision.image_mean", image.mean);
  group.f32s("vision.image_std", image.deviation);
  group.text("projector_type", "qwen3vl_merger");
  group.flag("use_gelu", true);
  group.u32("vision.spatial_merge_size", vision.merge_size);
  // The tower has no epsilon of its own in config.json; the converter takes the text model's.
  group.f32("vision.attention.layer_norm_epsilon", config.rms_eps);
  group.flags("vision.is_deepstack_layers",
              std::vector<bool>(static_cast<std::size_t>(vision.n_layers), false));
}

}  // namespace foretoken::convert
