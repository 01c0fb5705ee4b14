#include "convert/hf_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "model/qwen35/tensor_map.h"

namespace foretoken::convert {
namespace {

using Checkpoint = std::shared_ptr<const safetensors::Checkpoint>;
namespace qwen35 = model::qwen35;

/// A tensor with its place in the model.
struct Found {
  HfTensor tensor;
  HfName name;
};

qwen35::Config engine_config(const HfConfig& config) {
  qwen35::Config out;
  out.n_layers = config.n_layers;
  out.n_mtp_layers = config.n_mtp_layers;
  out.d_model = config.d_model;
  out.d_ff = config.d_ff;
  out.n_heads = config.n_heads;
  out.n_kv_heads = config.n_kv_heads;
  out.head_dim = config.head_dim;
  out.n_vocab = config.n_vocab;
  out.delta.n_k_heads = config.n_k_heads;
  out.delta.n_v_heads = config.n_v_heads;
  out.delta.d_k = config.d_k;
  out.delta.d_v = config.d_v;
  out.is_recurrent = config.is_recurrent;
  return out;
}

/// What the file must hold, by GGUF name.
std::map<std::string, qwen35::TensorSpec> expected_tensors(const HfConfig& config,
                                                           TextParts parts) {
  const qwen35::Config shape = engine_config(config);
  std::map<std::string, qwen35::TensorSpec> out;
  for (qwen35::TensorSpec& spec : qwen35::trunk_tensors(shape)) {
    if (parts == TextParts::MtpOnly && spec.name.starts_with("blk.")) continue;
    if (spec.name == "output.weight") spec.required = !config.ties_embeddings;
    std::string name = spec.name;
    out.emplace(std::move(name), std::move(spec));
  }
  for (int layer = 0; layer < config.n_mtp_layers; ++layer) {
    for (qwen35::TensorSpec& spec : qwen35::mtp_tensors(shape, layer)) {
      // A GGUF file may do without, a checkpoint always has it.
      if (spec.name.ends_with("nextn.shared_head_norm.weight")) spec.required = true;
      std::string name = spec.name;
      out.emplace(std::move(name), std::move(spec));
    }
  }
  return out;
}

/// The tensors of the parts asked for, in order.
std::vector<Found> select(const Checkpoint& checkpoint, const Checkpoint& head, TextParts parts) {
  std::vector<Found> out;
  const auto take = [&out](const Checkpoint& from, auto wanted) {
    for (const safetensors::TensorRef& ref : from->tensors()) {
      Found found{{from, &ref}, canonical_name(ref.name())};
      if (wanted(found.name)) out.push_back(std::move(found));
    }
  };
  take(checkpoint, [&](const HfName& name) {
    if (name.part == HfPart::Mtp) return parts != TextParts::WithoutMtp && head == nullptr;
    if (name.part != HfPart::Trunk) return false;
    return parts != TextParts::MtpOnly || !name.canonical.starts_with("layers.");
  });
  if (head != nullptr && parts != TextParts::WithoutMtp) {
    take(head, [](const HfName& name) { return name.part == HfPart::Mtp; });
  }
  return out;
}

/// Number of MTP layers that the tensors make up: the highest index and one.
int count_mtp_layers(const std::vector<Found>& tensors, const HfConfig& config) {
  int n = 0;
  for (const Found& found : tensors) {
    if (found.name.part != HfPart::Mtp) continue;
    const auto rule = find_text_rule(found.name.canonical, config);
    int block = config.n_layers;
    if (rule) block = std::max(block, std::stoi(rule->name.substr(4)));
    n = std::max(n, block - config.n_layers + 1);
  }
  return n;
}

void settle_mtp_layers(const std::vector<Found>& tensors, TextParts parts, HfConfig& config) {
  if (parts == TextParts::WithoutMtp) {
    config.n_mtp_layers = 0;
    return;
  }
  const int n = count_mtp_layers(tensors, config);
  if (n == 0 && parts == TextParts::MtpOnly) {
    throw FormatError(fmt::format(
        "{}: the checkpoint has no MTP head (no mtp.* tensors) to make a file of; take the base "
        "model's",
        config.path));
  }
  if (n == 0 && config.n_mtp_layers > 0) {
    throw FormatError(fmt::format(
        "{}: config.json announces an MTP head (mtp_num_hidden_layers {}), but the checkpoint has "
        "no mtp.* tensors; training frameworks drop them. Give the model its head back with "
        "'foretoken graft', or convert without one with --no-mtp",
        config.path, config.n_mtp_layers));
  }
  if (n > 1) {
    throw UnsupportedError(fmt::format(
        "{}: the MTP head has {} layers; programs that read these files know heads of 1",
        config.path, n));
  }
  config.n_mtp_layers = n;
}

std::string shape_text(const std::vector<std::size_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// Throws unless the tensor has the shape that config.json makes it have.
void check_shape(const Found& found, const HfTensorRule& rule, const qwen35::TensorSpec& spec) {
  std::vector<std::size_t> expected = spec.shape;
  const std::vector<std::size_t>& shape = found.tensor.shape();
  const bool is_kernel = rule.name.ends_with("ssm_conv1d.weight");
  if (shape == expected) return;
  if (is_kernel) {
    if (shape == std::vector<std::size_t>{expected[0], expected[1], 1}) {
      throw FormatError(fmt::format(
          "{} has the shape {}, as MLX writes it; such exports also shift the norms: convert the "
          "original checkpoint",
          found.tensor.where(), shape_text(shape)));
    }
    expected = {expected[0], 1, expected[1]};
    if (shape == expected) return;
  }
  throw FormatError(fmt::format("{} has the shape {}; config.json makes it {}",
                                found.tensor.where(), shape_text(shape), shape_text(expected)));
}

void check_missing(const std::map<std::string, qwen35::TensorSpec>& expected,
                   const std::set<std::string>& seen, const HfConfig& config) {
  std::vector<std::string> missing;
  bool of_head = true;
  const std::string head_block = fmt::format("blk.{}.", config.n_layers);
  for (const auto& [name, spec] : expected) {
    if (!spec.required || seen.contains(name)) continue;
    missing.push_back(find_hf_name(name, config).value_or(name));
    of_head = of_head && name.starts_with(head_block);
  }
  if (missing.empty()) return;
  throw FormatError(fmt::format(
      "{}: the checkpoint lacks {}; {}", config.path, list_names(missing),
      missing.front() == "lm_head.weight" && missing.size() == 1
          ? "config.json says that the output matrix is not the embedding (tie_word_embeddings)"
      : of_head ? "its MTP head is incomplete: graft a whole one, or convert with --no-mtp"
                : "it is incomplete or belongs to another config.json"));
}

}  // namespace

std::string list_names(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    out += (i == 0 ? "" : ", ") + foretoken::quoted(names[i]);
  }
  if (names.size() > kShown) out += fmt::format(" and {} more tensors", names.size() - kShown);
  return out;
}

std::vector<TensorSource> collect_text_tensors(const Checkpoint& checkpoint, const Checkpoint& head,
                                               TextParts parts, HfConfig& config) {
  const std::vector<Found> tensors = select(checkpoint, head, parts);
  settle_mtp_layers(tensors, parts, config);
  // Number types first: in a quantized checkpoint they explain the odd names and shapes.
  for (const Found& found : tensors) hf_number_type(found.tensor);
  const auto expected = expected_tensors(config, parts);
  std::vector<TensorSource> out;
  std::vector<std::string> unknown;
  std::set<std::string> seen;
  for (const Found& found : tensors) {
    const auto rule = find_text_rule(found.name.canonical, config);
    const auto spec = rule ? expected.find(rule->name) : expected.end();
    if (spec == expected.end()) {
      unknown.push_back(found.tensor.name());
      continue;
    }
    if (!seen.insert(rule->name).second) {
      throw FormatError(
          fmt::format("{} is there twice under different prefixes", found.tensor.where()));
    }
    check_shape(found, *rule, spec->second);
    out.push_back(text_source(found.tensor, *rule, spec->second.shape, config));
  }
  if (!unknown.empty()) {
    throw FormatError(fmt::format(
        "{}: no place in a Qwen3.5 model of {} layers for {}; the checkpoint belongs to another "
        "model or another config.json",
        config.path, config.n_layers, list_names(unknown)));
  }
  check_missing(expected, seen, config);
  return out;
}

}  // namespace foretoken::convert
