// Small models of any dense Qwen3.5 shape with random weights, written as GGUF: for the corners of
// the architecture that the trained tiny model does not have.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "gguf/file.h"
#include "gguf/writer.h"
#include "kernels/random_blocks.h"
#include "model/qwen35/config.h"
#include "model/qwen35/tensor_map.h"
#include "tiny_model.h"

namespace foretoken::testing {

struct RandomModel {
  int n_layers = 4;
  int n_mtp_layers = 1;
  int interval = 4;
  bool recurrent_flags = true;  ///< write attention.recurrent_layers
  bool tied = false;
  int d_model = 256;
  int d_ff = 512;
  int n_heads = 4;
  int n_kv_heads = 2;
  int head_dim = 64;
  int n_rot = 16;
  std::vector<std::int32_t> sections = {3, 3, 2, 0};
  int n_k_heads = 2;
  int n_v_heads = 4;
  int d_k = 64;
  /// Type of each matrix, asked in file order.
  std::function<quant::Type(std::mt19937&)> type = [](std::mt19937&) { return quant::Type::F32; };
  unsigned seed = 1;
};

/// Deletes the file when it goes.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& name)
      : path(::testing::TempDir() + "foretoken_" + std::to_string(getpid()) + "_" + name) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path;
};

inline void set_metadata(const RandomModel& m, const gguf::File& vocabulary, gguf::Writer& writer) {
  const auto u32 = [&](const char* key, int value) {
    writer.set_u32(std::string("qwen35.") + key, static_cast<std::uint32_t>(value));
  };
  writer.set_string("general.architecture", "qwen35");
  u32("block_count", m.n_layers + m.n_mtp_layers);
  u32("context_length", 4096);
  u32("embedding_length", m.d_model);
  u32("feed_forward_length", m.d_ff);
  u32("attention.head_count", m.n_heads);
  u32("attention.head_count_kv", m.n_kv_heads);
  u32("attention.key_length", m.head_dim);
  u32("attention.value_length", m.head_dim);
  writer.set_f32("qwen35.attention.layer_norm_rms_epsilon", 1e-6F);
  writer.set_f32("qwen35.rope.freq_base", 1e7F);
  u32("rope.dimension_count", m.n_rot);
  writer.set_i32_array("qwen35.rope.dimension_sections", m.sections);
  if (m.n_mtp_layers > 0) u32("nextn_predict_layers", m.n_mtp_layers);
  u32("ssm.conv_kernel", 4);
  u32("ssm.state_size", m.d_k);
  u32("ssm.group_count", m.n_k_heads);
  u32("ssm.time_step_rank", m.n_v_heads);
  u32("ssm.inner_size", m.n_v_heads * m.d_k);
  u32("full_attention_interval", m.interval);
  if (m.recurrent_flags) {
    std::vector<bool> flags;
    for (int i = 0; i < m.n_layers + m.n_mtp_layers; ++i) {
      flags.push_back(i < m.n_layers && (i + 1) % m.interval != 0);
    }
    writer.set_bool_array("qwen35.attention.recurrent_layers", flags);
  }
  for (const gguf::Entry& entry : vocabulary.metadata().entries()) {
    if (entry.key.starts_with("tokenizer.ggml.")) writer.set_entry(entry);
  }
}

/// Random values that keep activations of the usual size: norms near one, decays between 0 and -2.
inline std::vector<float> random_vector(const std::string& name, std::size_t n,
                                        std::mt19937& random) {
  std::normal_distribution<float> normal(0.0F, 1.0F);
  std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
  std::vector<float> out(n);
  for (float& x : out) {
    if (name.ends_with("norm.weight")) {
      x = 1.0F + 0.1F * normal(random);
    } else if (name.ends_with("ssm_a")) {
      x = -2.0F * uniform(random);
    } else if (name.ends_with("dt.bias")) {
      x = -4.0F * uniform(random);
    } else {
      x = 0.3F * normal(random);
    }
  }
  return out;
}

/// Writes the model to `path`.
inline void write_random_model(const RandomModel& m, const std::string& path) {
  const gguf::File vocabulary = gguf::File::open(tiny_model("tiny-paw-Q4_K_M.gguf"));
  gguf::Writer writer;
  set_metadata(m, vocabulary, writer);
  model::qwen35::Config config;
  config.n_layers = m.n_layers;
  config.n_mtp_layers = m.n_mtp_layers;
  config.d_model = m.d_model;
  config.d_ff = m.d_ff;
  config.n_heads = m.n_heads;
  config.n_kv_heads = m.n_kv_heads;
  config.head_dim = m.head_dim;
  config.n_vocab = 2048;
  config.delta = {m.n_k_heads, m.n_v_heads, m.d_k, m.d_k};
  for (int i = 0; i < m.n_layers; ++i) config.is_recurrent.push_back((i + 1) % m.interval != 0);
  std::vector<model::qwen35::TensorSpec> specs = model::qwen35::trunk_tensors(config);
  for (int i = 0; i < m.n_mtp_layers; ++i) {
    for (auto& spec : model::qwen35::mtp_tensors(config, i)) {
      if (spec.required) specs.push_back(spec);
    }
  }
  std::mt19937 random(m.seed);
  std::vector<std::vector<std::byte>> storage;
  for (const auto& spec : specs) {
    if (m.tied && spec.name == "output.weight") continue;
    const bool matrix = spec.shape.size() == 2 && !spec.name.ends_with("ssm_conv1d.weight");
    quant::Type type = matrix ? m.type(random) : quant::Type::F32;
    const std::size_t cols = spec.shape.back();
    if (cols % static_cast<std::size_t>(quant::type_info(type).block_elements) != 0)
      type = quant::Type::F16;
    const std::size_t rows = matrix ? spec.shape[0] : 1;
    std::vector<std::byte> bytes;
    if (type == quant::Type::F32) {
      const std::size_t n = spec.shape.size() == 2 ? spec.shape[0] * cols : cols;
      std::vector<float> values;
      if (matrix) {
        std::normal_distribution<float> normal(0.0F, 1.0F / std::sqrt(static_cast<float>(cols)));
        values.resize(n);
        for (float& x : values) x = normal(random);
      } else {
        values = random_vector(spec.name, n, random);
      }
      bytes.resize(n * sizeof(float));
      std::memcpy(bytes.data(), values.data(), bytes.size());
    } else {
      bytes = kernels::testing::random_matrix(type, static_cast<int>(rows), static_cast<int>(cols),
                                              static_cast<std::uint32_t>(random()))
                  .bytes;
    }
    storage.push_back(std::move(bytes));
    writer.add_tensor(spec.name, type, spec.shape, storage.back());
  }
  writer.write(path);
}

}  // namespace foretoken::testing
