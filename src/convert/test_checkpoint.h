// Checkpoints small enough to check number by number, for tests: any head counts, any prefixes, any
// number type, one file or several. Every number is exact in all three types.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/half.h"
#include "safetensors/writer.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/utf8.h"

namespace foretoken::convert {

/// How an export spells its names, by canonical name.
enum class Prefixes { Official, TextOnly, Inner, Bare };

struct TestShape {
  int n_layers = 4;  // the last one is full attention
  int d_model = 64;
  int d_ff = 96;
  int n_heads = 4;
  int n_kv_heads = 2;
  int head_dim = 32;
  int n_k_heads = 2;
  int ratio = 2;  // value heads a key head
  int d_head = 32;
  int n_vocab = 272;
  bool tied = false;
  bool mtp = true;

  int n_v_heads() const { return n_k_heads * ratio; }
  int value_width() const { return n_v_heads() * d_head; }
  int channels() const { return 2 * n_k_heads * d_head + value_width(); }
};

inline nlohmann::ordered_json test_config(const TestShape& shape) {
  return {{"architectures", {"Qwen3_5ForConditionalGeneration"}},
          {"model_type", "qwen3_5"},
          {"tie_word_embeddings", shape.tied},
          {"text_config",
           {{"model_type", "qwen3_5_text"},
            {"hidden_size", shape.d_model},
            {"num_hidden_layers", shape.n_layers},
            {"intermediate_size", shape.d_ff},
            {"num_attention_heads", shape.n_heads},
            {"num_key_value_heads", shape.n_kv_heads},
            {"head_dim", shape.head_dim},
            {"linear_num_key_heads", shape.n_k_heads},
            {"linear_num_value_heads", shape.n_v_heads()},
            {"linear_key_head_dim", shape.d_head},
            {"linear_value_head_dim", shape.d_head},
            {"max_position_embeddings", 4096},
            {"rms_norm_eps", 1e-6},
            {"vocab_size", shape.n_vocab},
            {"mtp_num_hidden_layers", shape.mtp ? 1 : 0},
            {"rope_parameters",
             {{"rope_type", "default"},
              {"rope_theta", 10000000},
              {"partial_rotary_factor", 0.25},
              {"mrope_section", {2, 1, 1}}}}}}};
}

/// A tokenizer of the 256 bytes, one merge and three added tokens.
inline nlohmann::ordered_json test_tokenizer() {
  using nlohmann::ordered_json;
  ordered_json vocab = ordered_json::object();
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string symbol;
    tokenizer::append_utf8(symbol, tokenizer::byte_symbol(static_cast<unsigned char>(byte)));
    vocab[symbol] = byte;
  }
  vocab["ab"] = 256;
  const auto added = [](int id, const char* text, bool special) {
    return ordered_json{{"id", id},          {"content", text}, {"single_word", false},
                        {"lstrip", false},   {"rstrip", false}, {"normalized", false},
                        {"special", special}};
  };
  const std::string regex(tokenizer::pre_tokenizer_expression("qwen35"));
  return {{"added_tokens",
           {added(257, "<|endoftext|>", true), added(258, "<|im_end|>", true),
            added(259, "<think>", false)}},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers",
             {{{"type", "Split"},
               {"pattern", {{"Regex", regex}}},
               {"behavior", "Isolated"},
               {"invert", false}},
              {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", ordered_json::array({"a b"})}}}};
}

/// A tensor with the numbers it stands for.
struct TestTensor {
  std::vector<std::size_t> shape;
  std::vector<float> numbers;
};

class TestCheckpoint {
 public:
  explicit TestCheckpoint(const TestShape& shape, unsigned seed = 1)
      : config(test_config(shape)),
        tokenizer(test_tokenizer()),
        tokenizer_config({{"add_bos_token", false},
                          {"eos_token", "<|im_end|>"},
                          {"pad_token", "<|endoftext|>"},
                          {"chat_template", "{{ messages }}"}}),
        rng_(seed) {
    const auto size = [](int n) { return static_cast<std::size_t>(n); };
    const std::size_t d = size(shape.d_model);
    add("embed_tokens.weight", {size(shape.n_vocab), d});
    add("norm.weight", {d});
    if (!shape.tied) add("lm_head.weight", {size(shape.n_vocab), d});
    for (int i = 0; i < shape.n_layers; ++i) {
      const std::string layer = fmt::format("layers.{}.", i);
      if ((i + 1) % 4 == 0) {
        add_attention(layer, shape);
        continue;
      }
      add_block(layer, shape);
      const std::string net = layer + "linear_attn.";
      add(net + "in_proj_qkv.weight", {size(shape.channels()), d});
      add(net + "in_proj_z.weight", {size(shape.value_width()), d});
      add(net + "in_proj_b.weight", {size(shape.n_v_heads()), d});
      add(net + "in_proj_a.weight", {size(shape.n_v_heads()), d});
      add(net + "conv1d.weight", {size(shape.channels()), 1, 4});
      add(net + "A_log", {size(shape.n_v_heads())});
      add(net + "dt_bias", {size(shape.n_v_heads())});
      add(net + "norm.weight", {size(shape.d_head)});
      add(net + "out_proj.weight", {d, size(shape.value_width())});
    }
    if (!shape.mtp) return;
    add("mtp.fc.weight", {d, 2 * d});
    for (const char* norm : {"pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"}) {
      add(fmt::format("mtp.{}.weight", norm), {d});
    }
    add_attention("mtp.layers.0.", shape);
  }

  nlohmann::ordered_json config;
  nlohmann::ordered_json tokenizer;
  nlohmann::ordered_json tokenizer_config;
  std::map<std::string, TestTensor> tensors;  // by canonical name
  Prefixes prefixes = Prefixes::Official;
  safetensors::DType type = safetensors::DType::BF16;
  int n_files = 1;

  void add(const std::string& name, const std::vector<std::size_t>& shape) {
    std::size_t n = 1;
    for (const std::size_t length : shape) n *= length;
    TestTensor tensor{shape, std::vector<float>(n)};
    // Multiples of 1/64 below 2: seven bits are enough for any of the types.
    std::uniform_int_distribution<int> pick(-127, 127);
    for (float& x : tensor.numbers) x = static_cast<float>(pick(rng_)) / 64.0F;
    tensors[name] = std::move(tensor);
  }

  std::string spelled(const std::string& canonical) const {
    const bool is_head = canonical == "lm_head.weight";
    const bool is_mtp = canonical.starts_with("mtp.");
    switch (prefixes) {
      case Prefixes::Official:
        return is_head || is_mtp ? canonical : "model.language_model." + canonical;
      case Prefixes::TextOnly:
        return is_head ? canonical : "model." + canonical;
      case Prefixes::Inner:
        return is_head  ? "language_model." + canonical
               : is_mtp ? canonical
                        : "language_model.model." + canonical;
      case Prefixes::Bare:
        return canonical;
    }
    return canonical;
  }

  /// Writes the folder's files.
  void write(const std::string& folder) const {
    write_json(folder + "/config.json", config);
    write_json(folder + "/tokenizer.json", tokenizer);
    write_json(folder + "/tokenizer_config.json", tokenizer_config);
    std::vector<std::vector<std::byte>> data;
    std::vector<safetensors::Writer> files(static_cast<std::size_t>(n_files));
    data.reserve(tensors.size());
    nlohmann::ordered_json index;
    std::size_t i = 0;
    for (const auto& [name, tensor] : tensors) {
      const std::size_t file = i++ % files.size();
      data.push_back(encoded(tensor.numbers));
      files[file].add_tensor(spelled(name), type, tensor.shape, data.back());
      index["weight_map"][spelled(name)] = file_name(file);
    }
    for (std::size_t file = 0; file < files.size(); ++file) {
      files[file].write(folder + "/" + file_name(file));
    }
    if (n_files > 1) write_json(folder + "/model.safetensors.index.json", index);
  }

 private:
  void add_block(const std::string& layer, const TestShape& shape) {
    const auto d = static_cast<std::size_t>(shape.d_model);
    const auto d_ff = static_cast<std::size_t>(shape.d_ff);
    add(layer + "input_layernorm.weight", {d});
    add(layer + "post_attention_layernorm.weight", {d});
    add(layer + "mlp.gate_proj.weight", {d_ff, d});
    add(layer + "mlp.up_proj.weight", {d_ff, d});
    add(layer + "mlp.down_proj.weight", {d, d_ff});
  }
  void add_attention(const std::string& layer, const TestShape& shape) {
    add_block(layer, shape);
    const auto d = static_cast<std::size_t>(shape.d_model);
    const auto q = static_cast<std::size_t>(shape.n_heads * shape.head_dim);
    const auto kv = static_cast<std::size_t>(shape.n_kv_heads * shape.head_dim);
    const auto head = static_cast<std::size_t>(shape.head_dim);
    add(layer + "self_attn.q_proj.weight", {2 * q, d});
    add(layer + "self_attn.k_proj.weight", {kv, d});
    add(layer + "self_attn.v_proj.weight", {kv, d});
    add(layer + "self_attn.o_proj.weight", {d, q});
    add(layer + "self_attn.q_norm.weight", {head});
    add(layer + "self_attn.k_norm.weight", {head});
  }

  std::string file_name(std::size_t i) const {
    if (n_files == 1) return "model.safetensors";
    return fmt::format("model-{:05d}-of-{:05d}.safetensors", i + 1, n_files);
  }
  std::vector<std::byte> encoded(const std::vector<float>& numbers) const {
    std::vector<std::byte> out(numbers.size() * safetensors::dtype_bytes(type));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (type == safetensors::DType::F32) {
        std::memcpy(out.data() + 4 * i, &numbers[i], 4);
      } else {
        const std::uint16_t bits =
            type == safetensors::DType::F16 ? f32_to_f16(numbers[i]) : f32_to_bf16(numbers[i]);
        std::memcpy(out.data() + 2 * i, &bits, 2);
      }
    }
    return out;
  }
  static void write_json(const std::string& path, const nlohmann::ordered_json& document) {
    std::ofstream(path) << document.dump(1);
  }

  std::mt19937 rng_;
};

/// A new folder, removed with all it holds when this goes.
class TestFolder {
 public:
  TestFolder() : path_(std::filesystem::temp_directory_path() / "foretoken-convert-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace foretoken::convert
