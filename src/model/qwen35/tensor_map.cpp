#include "model/qwen35/tensor_map.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unordered_set>

#include "base/error.h"

namespace foretoken::model::qwen35 {
namespace {

using Shape = std::vector<std::size_t>;

Shape vector_of(int n) { return {static_cast<std::size_t>(n)}; }
Shape matrix_of(int rows, int cols) {
  return {static_cast<std::size_t>(rows), static_cast<std::size_t>(cols)};
}

void add_attention(const Config& c, int layer, std::vector<TensorSpec>& out) {
  const int q_width = c.n_heads * c.head_dim;
  const int kv_width = c.n_kv_heads * c.head_dim;
  out.push_back({block_tensor(layer, "attn_q.weight"), matrix_of(2 * q_width, c.d_model)});
  out.push_back({block_tensor(layer, "attn_k.weight"), matrix_of(kv_width, c.d_model)});
  out.push_back({block_tensor(layer, "attn_v.weight"), matrix_of(kv_width, c.d_model)});
  out.push_back({block_tensor(layer, "attn_output.weight"), matrix_of(c.d_model, q_width)});
  out.push_back({block_tensor(layer, "attn_q_norm.weight"), vector_of(c.head_dim)});
  out.push_back({block_tensor(layer, "attn_k_norm.weight"), vector_of(c.head_dim)});
}

void add_delta_net(const Config& c, int layer, std::vector<TensorSpec>& out) {
  const int channels = c.delta.n_channels();
  const int heads = c.delta.n_v_heads;
  const int v_width = heads * c.delta.d_v;
  out.push_back({block_tensor(layer, "attn_qkv.weight"), matrix_of(channels, c.d_model)});
  out.push_back({block_tensor(layer, "attn_gate.weight"), matrix_of(v_width, c.d_model)});
  out.push_back({block_tensor(layer, "ssm_beta.weight"), matrix_of(heads, c.d_model)});
  out.push_back({block_tensor(layer, "ssm_alpha.weight"), matrix_of(heads, c.d_model)});
  out.push_back({block_tensor(layer, "ssm_conv1d.weight"), matrix_of(channels, 4)});
  out.push_back({block_tensor(layer, "ssm_dt.bias"), vector_of(heads)});
  out.push_back({block_tensor(layer, "ssm_a"), vector_of(heads)});
  out.push_back({block_tensor(layer, "ssm_norm.weight"), vector_of(c.delta.d_v)});
  out.push_back({block_tensor(layer, "ssm_out.weight"), matrix_of(c.d_model, v_width)});
}

void add_norms_and_ffn(const Config& c, int layer, std::vector<TensorSpec>& out) {
  out.push_back({block_tensor(layer, "attn_norm.weight"), vector_of(c.d_model)});
  out.push_back({block_tensor(layer, "post_attention_norm.weight"), vector_of(c.d_model)});
  out.push_back({block_tensor(layer, "ffn_gate.weight"), matrix_of(c.d_ff, c.d_model)});
  out.push_back({block_tensor(layer, "ffn_up.weight"), matrix_of(c.d_ff, c.d_model)});
  out.push_back({block_tensor(layer, "ffn_down.weight"), matrix_of(c.d_model, c.d_ff)});
}

void check_present(const gguf::File& file, const TensorSpec& spec, bool of_mtp_head) {
  const gguf::TensorInfo* info = file.find_tensor(spec.name);
  if (info == nullptr) {
    if (!spec.required) return;
    throw FormatError(fmt::format(
        "{}: tensor '{}' is missing (expected shape {}){}", file.path(), spec.name, spec.shape,
        of_mtp_head ? "; the file announces an MTP head (qwen35.nextn_predict_layers) that it does "
                      "not fully carry: graft one from the base model, or convert with --no-mtp"
                    : "; the file is incomplete"));
  }
  if (info->shape != spec.shape) {
    throw FormatError(fmt::format("{}: tensor '{}' has shape {} but the metadata asks for {}",
                                  file.path(), spec.name, info->shape, spec.shape));
  }
  if (!quant::type_info(info->type).decodable) {
    throw UnsupportedError(fmt::format(
        "{}: tensor '{}' has type {}, which this engine cannot decode; requantize the model, for "
        "example to Q4_K_M",
        file.path(), spec.name, quant::type_info(info->type).name));
  }
}

}  // namespace

std::string block_tensor(int layer, const char* name) {
  return fmt::format("blk.{}.{}", layer, name);
}

std::vector<TensorSpec> trunk_tensors(const Config& c) {
  std::vector<TensorSpec> out;
  out.push_back({"token_embd.weight", matrix_of(c.n_vocab, c.d_model)});
  out.push_back({"output_norm.weight", vector_of(c.d_model)});
  out.push_back({"output.weight", matrix_of(c.n_vocab, c.d_model), false});
  for (int layer = 0; layer < c.n_layers; ++layer) {
    if (c.is_recurrent[static_cast<std::size_t>(layer)]) {
      add_delta_net(c, layer, out);
    } else {
      add_attention(c, layer, out);
    }
    add_norms_and_ffn(c, layer, out);
  }
  return out;
}

std::vector<TensorSpec> mtp_tensors(const Config& c, int index) {
  const int layer = c.n_layers + index;
  std::vector<TensorSpec> out;
  add_attention(c, layer, out);
  add_norms_and_ffn(c, layer, out);
  out.push_back({block_tensor(layer, "nextn.eh_proj.weight"), matrix_of(c.d_model, 2 * c.d_model)});
  out.push_back({block_tensor(layer, "nextn.enorm.weight"), vector_of(c.d_model)});
  out.push_back({block_tensor(layer, "nextn.hnorm.weight"), vector_of(c.d_model)});
  // Optional ones fall back to the trunk's output_norm, token_embd and output.
  out.push_back(
      {block_tensor(layer, "nextn.shared_head_norm.weight"), vector_of(c.d_model), false});
  out.push_back(
      {block_tensor(layer, "nextn.embed_tokens.weight"), matrix_of(c.n_vocab, c.d_model), false});
  out.push_back({block_tensor(layer, "nextn.shared_head_head.weight"),
                 matrix_of(c.n_vocab, c.d_model), false});
  return out;
}

void check_tensors(const gguf::File& file, const Config& config) {
  if (file.find_tensor("blk.0.attn_norm.weight") == nullptr && config.n_mtp_layers > 0) {
    throw UnsupportedError(
        fmt::format("{}: this file holds an MTP head alone (tensor "
                    "'blk.0.attn_norm.weight' is missing); graft it into a model "
                    "file and run that",
                    file.path()));
  }
  std::unordered_set<std::string> known;
  for (const TensorSpec& spec : trunk_tensors(config)) {
    check_present(file, spec, false);
    known.insert(spec.name);
  }
  for (int index = 0; index < config.n_mtp_layers; ++index) {
    for (const TensorSpec& spec : mtp_tensors(config, index)) {
      check_present(file, spec, true);
      known.insert(spec.name);
    }
  }
  for (const gguf::TensorInfo& info : file.tensors()) {
    if (known.contains(info.name)) continue;
    throw FormatError(
        fmt::format("{}: tensor '{}' does not belong to a qwen35 model of {} layers and {} MTP "
                    "layers; the file "
                    "and its metadata disagree",
                    file.path(), info.name, config.n_layers, config.n_mtp_layers));
  }
}

int check_head_file(const gguf::File& head, const gguf::File& model, const Config& config) {
  const Config other = read_config(head);
  if (other.n_mtp_layers == 0) {
    throw FormatError(fmt::format(
        "{}: holds no MTP head (qwen35.nextn_predict_layers is 0 or missing; looked for tensors "
        "'{}' and its like); make one with: foretoken convert --mtp",
        head.path(), block_tensor(config.n_layers, "nextn.eh_proj.weight")));
  }
  const auto same = [&](const char* what, int wanted, int found) {
    if (wanted == found) return;
    throw UnsupportedError(
        fmt::format("{}: this MTP head is for another model: {} is {}, but {} in {}", head.path(),
                    what, found, wanted, model.path()));
  };
  same("the number of layers", config.n_layers, other.n_layers);
  same("the width", config.d_model, other.d_model);
  same("the feed-forward width", config.d_ff, other.d_ff);
  same("the number of heads", config.n_heads, other.n_heads);
  same("the number of key/value heads", config.n_kv_heads, other.n_kv_heads);
  same("the width of a head", config.head_dim, other.head_dim);
  same("the vocabulary's size", config.n_vocab, other.n_vocab);
  for (int index = 0; index < other.n_mtp_layers; ++index) {
    for (const TensorSpec& spec : mtp_tensors(config, index)) check_present(head, spec, true);
  }
  return other.n_mtp_layers;
}

}  // namespace foretoken::model::qwen35
