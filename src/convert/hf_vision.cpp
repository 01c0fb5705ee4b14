#include "convert/hf_vision.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cfloat>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "base/error.h"
#include "convert/hf_tensors.h"
#include "convert/json_node.h"

namespace foretoken::convert {
namespace {

using Shape = std::vector<std::size_t>;
using Checkpoint = std::shared_ptr<const safetensors::Checkpoint>;

constexpr const char* kPatchKernel = "visual.patch_embed.proj.weight";

struct VisionSpec {
  std::string name;  // in the GGUF file
  Shape shape;       // in the checkpoint
};

/// Canonical name -> what it becomes.
std::map<std::string, VisionSpec> expected_tensors(const HfVisionConfig& vision) {
  const auto size = [](int n) { return static_cast<std::size_t>(n); };
  const std::size_t d = size(vision.d_model);
  const std::size_t d_ff = size(vision.d_ff);
  const std::size_t merged = d * size(vision.merge_size) * size(vision.merge_size);
  std::map<std::string, VisionSpec> out;
  const auto add_linear = [&out](const std::string& hf, const std::string& gguf, std::size_t rows,
                                 std::size_t cols) {
    out[hf + ".weight"] = {gguf + ".weight", {rows, cols}};
    out[hf + ".bias"] = {gguf + ".bias", {rows}};
  };
  const auto add_norm = [&out, d](const std::string& hf, const std::string& gguf) {
    out[hf + ".weight"] = {gguf + ".weight", {d}};
    out[hf + ".bias"] = {gguf + ".bias", {d}};
  };
  for (int i = 0; i < vision.n_layers; ++i) {
    const std::string hf = fmt::format("visual.blocks.{}.", i);
    const std::string gguf = fmt::format("v.blk.{}.", i);
    add_norm(hf + "norm1", gguf + "ln1");
    add_norm(hf + "norm2", gguf + "ln2");
    add_linear(hf + "attn.qkv", gguf + "attn_qkv", 3 * d, d);
    add_linear(hf + "attn.proj", gguf + "attn_out", d, d);
    add_linear(hf + "mlp.linear_fc1", gguf + "ffn_up", d_ff, d);
    add_linear(hf + "mlp.linear_fc2", gguf + "ffn_down", d, d_ff);
  }
  add_norm("visual.merger.norm", "v.post_ln");
  add_linear("visual.merger.linear_fc1", "mm.0", merged, merged);
  add_linear("visual.merger.linear_fc2", "mm.2", size(vision.d_out), merged);
  const std::size_t patch = size(vision.patch_size);
  out[kPatchKernel] = {
      "v.patch_embd.weight",
      {d, size(vision.n_channels), size(vision.temporal_patch_size), patch, patch}};
  out["visual.patch_embed.proj.bias"] = {"v.patch_embd.bias", {d}};
  out["visual.pos_embed.weight"] = {"v.position_embd.weight", {size(vision.n_positions), d}};
  return out;
}

void check_variant(const HfConfig& config) {
  if (!config.vision) {
    throw FormatError(fmt::format(
        "{}: no vision_config, this checkpoint is text only; take the base model's vision file",
        config.path));
  }
  const HfVisionConfig& vision = *config.vision;
  if (!vision.deepstack_layers.empty()) {
    throw UnsupportedError(fmt::format(
        "{}: 'deepstack_visual_indexes' is not empty; supported are towers without such layers, as "
        "all dense Qwen3.5 models have",
        config.path));
  }
  if (vision.temporal_patch_size != 2) {
    throw UnsupportedError(fmt::format("{}: 'temporal_patch_size' is {}; supported is 2",
                                       config.path, vision.temporal_patch_size));
  }
  if (vision.d_out != config.d_model) {
    throw FormatError(
        fmt::format("{}: the tower's 'out_hidden_size' is {}; the text model is {} "
                    "wide (hidden_size)",
                    config.path, vision.d_out, config.d_model));
  }
  const int side = static_cast<int>(std::lround(std::sqrt(vision.n_positions)));
  if (side * side != vision.n_positions) {
    throw FormatError(fmt::format("{}: 'num_position_embeddings' is {}; expected a square number",
                                  config.path, vision.n_positions));
  }
}

}  // namespace

std::vector<TensorSource> collect_vision_tensors(const Checkpoint& checkpoint,
                                                 const HfConfig& config) {
  check_variant(config);
  const auto expected = expected_tensors(*config.vision);
  std::vector<TensorSource> out;
  std::set<std::string> seen;
  for (const safetensors::TensorRef& ref : checkpoint->tensors()) {
    const HfName name = canonical_name(ref.name());
    if (name.part != HfPart::Vision) continue;
    const HfTensor tensor{checkpoint, &ref};
    hf_number_type(tensor);
    const auto spec = expected.find(name.canonical);
    if (spec == expected.end()) {
      throw FormatError(
          fmt::format("{} has no place in the tower that config.json describes", tensor.where()));
    }
    if (!seen.insert(name.canonical).second) {
      throw FormatError(fmt::format("{} is there twice under different prefixes", tensor.where()));
    }
    const Shape& shape = spec->second.shape;
    if (tensor.shape() != shape) {
      throw FormatError(fmt::format("{} has the shape [{}]; config.json makes it [{}]",
                                    tensor.where(), fmt::join(tensor.shape(), ", "),
                                    fmt::join(shape, ", ")));
    }
    if (name.canonical == kPatchKernel) {
      out.push_back(frame_source(tensor, spec->second.name, 0));
      out.push_back(frame_source(tensor, spec->second.name + ".1", 1));
    } else {
      out.push_back(plain_source(tensor, spec->second.name, shape));
    }
  }
  std::vector<std::string> missing;
  for (const auto& [name, spec] : expected) {
    if (!seen.contains(name)) missing.push_back("model." + name);
  }
  if (seen.empty()) {
    throw FormatError(fmt::format(
        "{}: config.json describes an image tower, but the checkpoint has none (no model.visual.* "
        "tensors); take the base model's vision file",
        config.path));
  }
  if (!missing.empty()) {
    throw FormatError(fmt::format("{}: the checkpoint's image tower lacks {}; it is incomplete",
                                  config.path, list_names(missing)));
  }
  return out;
}

ImageStatistics read_image_statistics(const std::string& folder) {
  namespace fs = std::filesystem;
  ImageStatistics out;
  bool has_mean = false;
  bool has_deviation = false;
  const auto read = [](const JsonNode& node, std::array<float, 3>& to, bool& has) {
    if (node.is_null()) return;
    if (node.size() != 3) node.throw_type("three numbers");
    for (std::size_t i = 0; i < 3; ++i) {
      to[i] = static_cast<float>(node.at(i).require_number(-FLT_MAX, FLT_MAX));
    }
    has = true;
  };
  for (const char* name : {"preprocessor_config.json", "processor_config.json"}) {
    const std::string path = (fs::path(folder) / name).string();
    if (!fs::exists(path)) continue;
    const auto document = read_json_object(path);
    const JsonNode root(document, path);
    for (const JsonNode& group : {root, root.get("media_proc_cfg"), root.get("image_processor")}) {
      if (group.is_null()) continue;
      read(group.get("image_mean"), out.mean, has_mean);
      read(group.get("image_std"), out.deviation, has_deviation);
    }
  }
  if (!has_mean || !has_deviation) {
    throw FormatError(fmt::format(
        "{}: neither preprocessor_config.json nor processor_config.json gives image_mean and "
        "image_std; copy the base model's",
        folder));
  }
  return out;
}

}  // namespace foretoken::convert
