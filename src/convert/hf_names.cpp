#include "convert/hf_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace foretoken::convert {
namespace {

struct Rule {
  std::string_view hf;
  std::string_view gguf;
  HfTransform transform = HfTransform::None;
};

// Outside the layers.
constexpr std::array kGlobalRules{
    Rule{"embed_tokens.weight", "token_embd.weight"},
    Rule{"norm.weight", "output_norm.weight", HfTransform::PlusOne},
    Rule{"lm_head.weight", "output.weight"},
};

// Behind "layers.N."
constexpr std::array kLayerRules{
    Rule{"input_layernorm.weight", "attn_norm.weight", HfTransform::PlusOne},
    Rule{"post_attention_layernorm.weight", "post_attention_norm.weight", HfTransform::PlusOne},
    Rule{"mlp.gate_proj.weight", "ffn_gate.weight"},
    Rule{"mlp.up_proj.weight", "ffn_up.weight"},
    Rule{"mlp.down_proj.weight", "ffn_down.weight"},
    Rule{"self_attn.q_proj.weight", "attn_q.weight"},
    Rule{"self_attn.k_proj.weight", "attn_k.weight"},
    Rule{"self_attn.v_proj.weight", "attn_v.weight"},
    Rule{"self_attn.o_proj.weight", "attn_output.weight"},
    Rule{"self_attn.q_norm.weight", "attn_q_norm.weight", HfTransform::PlusOne},
    Rule{"self_attn.k_norm.weight", "attn_k_norm.weight", HfTransform::PlusOne},
    Rule{"linear_attn.in_proj_qkv.weight", "attn_qkv.weight", HfTransform::ConvRows},
    Rule{"linear_attn.in_proj_z.weight", "attn_gate.weight", HfTransform::ValueRows},
    Rule{"linear_attn.in_proj_b.weight", "ssm_beta.weight", HfTransform::HeadRows},
    Rule{"linear_attn.in_proj_a.weight", "ssm_alpha.weight", HfTransform::HeadRows},
    Rule{"linear_attn.conv1d.weight", "ssm_conv1d.weight", HfTransform::ConvRows},
    Rule{"linear_attn.dt_bias", "ssm_dt.bias", HfTransform::HeadVector},
    Rule{"linear_attn.A_log", "ssm_a", HfTransform::DecayRate},
    // The one norm whose weights stand around 1 already.
    Rule{"linear_attn.norm.weight", "ssm_norm.weight"},
    Rule{"linear_attn.out_proj.weight", "ssm_out.weight", HfTransform::ValueColumns},
};

// Behind "mtp.", in the block that follows the trunk.
constexpr std::array kMtpRules{
    Rule{"fc.weight", "nextn.eh_proj.weight"},
    Rule{"pre_fc_norm_embedding.weight", "nextn.enorm.weight", HfTransform::PlusOne},
    Rule{"pre_fc_norm_hidden.weight", "nextn.hnorm.weight", HfTransform::PlusOne},
    Rule{"norm.weight", "nextn.shared_head_norm.weight", HfTransform::PlusOne},
};

bool remove_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// "12." at the start of `text`; nothing when it is not a plain number.
std::optional<int> remove_index(std::string_view& text) {
  int index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || length >= text.size() || text[length] != '.') return std::nullopt;
  if (text[0] == '-' || (text[0] == '0' && length > 1)) return std::nullopt;
  text.remove_prefix(length + 1);
  return index;
}

template <std::size_t n>
std::optional<Rule> find(const std::array<Rule, n>& rules, std::string_view hf) {
  const auto rule = std::ranges::find(rules, hf, &Rule::hf);
  return rule == rules.end() ? std::nullopt : std::optional(*rule);
}

std::optional<HfTensorRule> find_layer_rule(std::string_view name, int first_block) {
  const auto index = remove_index(name);
  if (!index || *index > 1'000'000) return std::nullopt;
  const auto rule = find(kLayerRules, name);
  if (!rule) return std::nullopt;
  return HfTensorRule{fmt::format("blk.{}.{}", first_block + *index, rule->gguf), rule->transform};
}

}  // namespace

HfName canonical_name(std::string_view name) {
  if (name.ends_with(".rotary_emb.inv_freq")) return {HfPart::Ignored, std::string(name)};
  std::string_view rest = name;
  const bool inner = remove_prefix(rest, "model.language_model.");
  if (!inner) {
    remove_prefix(rest, "language_model.");
    remove_prefix(rest, "model.");
  }
  if (rest.starts_with("mtp.")) return {HfPart::Mtp, std::string(rest)};
  if (rest.starts_with("visual.")) return {HfPart::Vision, std::string(rest)};
  return {HfPart::Trunk, std::string(rest)};
}

std::optional<HfTensorRule> find_text_rule(std::string_view canonical, const HfConfig& config) {
  std::string_view rest = canonical;
  if (remove_prefix(rest, "mtp.")) {
    if (remove_prefix(rest, "layers.")) return find_layer_rule(rest, config.n_layers);
    const auto rule = find(kMtpRules, rest);
    if (!rule) return std::nullopt;
    return HfTensorRule{fmt::format("blk.{}.{}", config.n_layers, rule->gguf), rule->transform};
  }
  if (remove_prefix(rest, "layers.")) return find_layer_rule(rest, 0);
  const auto rule = find(kGlobalRules, rest);
  if (!rule) return std::nullopt;
  return HfTensorRule{std::string(rule->gguf), rule->transform};
}

std::optional<std::string> find_hf_name(std::string_view gguf_name, const HfConfig& config) {
  const auto find_gguf = [](const auto& rules, std::string_view name) -> std::string_view {
    const auto rule = std::ranges::find(rules, name, &Rule::gguf);
    return rule == rules.end() ? std::string_view() : rule->hf;
  };
  std::string_view rest = gguf_name;
  if (!remove_prefix(rest, "blk.")) {
    const std::string_view hf = find_gguf(kGlobalRules, rest);
    return hf.empty() ? std::nullopt : std::optional(std::string(hf));
  }
  const auto block = remove_index(rest);
  if (!block) return std::nullopt;
  const bool in_trunk = *block < config.n_layers;
  if (const std::string_view hf = find_gguf(kLayerRules, rest); !hf.empty()) {
    return in_trunk ? fmt::format("layers.{}.{}", *block, hf)
                    : fmt::format("mtp.layers.{}.{}", *block - config.n_layers, hf);
  }
  const std::string_view hf = find_gguf(kMtpRules, rest);
  if (hf.empty() || in_trunk) return std::nullopt;
  return fmt::format("mtp.{}", hf);
}

}  // namespace foretoken::convert
