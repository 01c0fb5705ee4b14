// What the config.json of a Hugging Face checkpoint says about a dense Qwen3.5 model, read once and
// checked, so that nothing below has to doubt a dimension.
// Source: docs/convert.md, "config.json"; huggingface/transformers, models/qwen3_5 (its defaults
// are ours where a member may be missing).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace foretoken::convert {

/// Shape of the vision tower (`vision_config`).
struct HfVisionConfig {
  int n_layers = 0;
  int d_model = 0;
  int d_ff = 0;
  int n_heads = 0;
  int n_channels = 3;
  int patch_size = 16;
  int temporal_patch_size = 2;
  int merge_size = 2;   ///< patches per side that become one token
  int n_positions = 0;  ///< rows of the position table, a square number
  int d_out = 0;        ///< width of the text model
  /// Layers whose output also goes to the text model; empty in every dense Qwen3.5 model.
  std::vector<int> deepstack_layers;
};

/// Long-context scaling that the config asks for (`rope_type` other than "default").
struct HfRopeScaling {
  std::string type;  ///< "yarn" or "linear"
  double factor = 1.0;
  std::optional<int> original_context;  ///< present for yarn
  std::optional<double> extrapolation_factor;
  std::optional<double> attention_factor;
  std::optional<double> beta_fast;
  std::optional<double> beta_slow;
};

/// Shape of a dense Qwen3.5 checkpoint.
struct HfConfig {
  std::string path;  ///< of config.json, for error texts

  int n_layers = 0;      ///< trunk layers
  int n_mtp_layers = 0;  ///< MTP layers announced; whether their tensors are there is another thing
  int d_model = 0;
  int d_ff = 0;
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  int n_vocab = 0;          ///< rows of the embedding, padding rows included
  int n_context_train = 0;  ///< max_position_embeddings
  double rms_eps = 1e-6;
  bool ties_embeddings = false;  ///< as announced; a checkpoint with an lm_head has the last word

  std::vector<bool> is_recurrent;  ///< [n_layers] true: delta net, false: full attention
  int full_attention_interval = 4;

  int conv_kernel = 4;
  int n_k_heads = 0;  ///< key heads of the delta net
  int n_v_heads = 0;  ///< value heads, a multiple of n_k_heads
  int d_k = 0;        ///< width of a key head
  int d_v = 0;        ///< width of a value head

  double rope_theta = 1e7;
  double partial_rotary_factor = 0.25;
  std::array<int, 4> rope_sections{};  ///< pairs that follow time, height, width; the last is 0
  std::optional<HfRopeScaling> rope_scaling;

  std::optional<HfVisionConfig> vision;
  /// Where the weights were trained or loaded from, as frameworks note it.
  std::optional<std::string> name_or_path;
  /// "fp8", "awq"...: how the weights are packed; absent for plain checkpoints.
  std::optional<std::string> quantization_method;

  /// Rotated dimensions of a head: head_dim * partial_rotary_factor.
  int n_rot() const { return static_cast<int>(head_dim * partial_rotary_factor); }
  int key_width() const { return n_k_heads * d_k; }    ///< all key heads side by side
  int value_width() const { return n_v_heads * d_v; }  ///< all value heads side by side
  /// Channels of the delta net's convolution: queries, keys, values.
  int conv_channels() const { return 2 * key_width() + value_width(); }
};

/// Checks the text of a config.json; `path` stands in error texts. The members of the text model
/// may stand in `text_config` or, in text-only exports, at the top. Throws FormatError for values
/// that are malformed or contradict each other, UnsupportedError for another architecture (mixture
/// of experts, Qwen3-Next, ...) or a variant that there is no code for; both name file and member.
HfConfig parse_hf_config(std::string_view text, const std::string& path);

/// The same for `folder`/config.json; also throws IoError.
HfConfig read_hf_config(const std::string& folder);

}  // namespace foretoken::convert
