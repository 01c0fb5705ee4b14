// Files that are sound GGUF but not a sound model: each gives one clear sentence naming the file,
// the tensor or key, and what was expected, when it is loaded.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "base/error.h"
#include "random_model.h"

namespace foretoken {
namespace {

using testing::TemporaryFile;

/// What is done to a good model, and the words the error must hold.
struct Damage {
  std::string label = {};
  std::function<void(gguf::Writer&)> metadata = {};  ///< changes keys
  std::string without = {};                          ///< tensor left out
  std::string extra = {};                            ///< tensor added
  std::string reshaped = {};                         ///< tensor whose rows are halved
  std::string poisoned = {};                         ///< tensor whose first value becomes NaN
  quant::Type type = quant::Type::F32;               ///< of the matrices
  std::vector<std::string> words = {};
};

std::ostream& operator<<(std::ostream& out, const Damage& damage) { return out << damage.label; }

testing::RandomModel small_model(quant::Type type) {
  testing::RandomModel model;
  model.n_layers = 4;
  model.type = [type](std::mt19937&) { return type; };
  return model;
}

// Writes the damaged copy of a good file.
void write_damaged(const gguf::File& good, const Damage& damage, const std::string& path) {
  gguf::Writer writer;
  writer.copy_metadata(good.metadata());
  if (damage.metadata) damage.metadata(writer);
  std::vector<std::vector<std::byte>> storage;
  for (const gguf::TensorInfo& tensor : good.tensors()) {
    if (tensor.name == damage.without) continue;
    std::vector<std::size_t> shape = tensor.shape;
    const auto data = good.data(tensor);
    storage.emplace_back(data.begin(), data.end());
    std::vector<std::byte>& bytes = storage.back();
    if (tensor.name == damage.reshaped) {
      shape[0] /= 2;
      bytes.resize(bytes.size() / 2);
    }
    if (tensor.name == damage.poisoned) {
      // NaN as f16 in the first scale, as f32 in the first value.
      const std::uint16_t half = 0x7E00;
      const float whole = std::numeric_limits<float>::quiet_NaN();
      if (tensor.type == quant::Type::F32) {
        std::memcpy(bytes.data(), &whole, sizeof(whole));
      } else {
        std::memcpy(bytes.data(), &half, sizeof(half));
      }
    }
    writer.add_tensor(tensor.name, tensor.type, shape, bytes);
  }
  const std::vector<float> row(256, 1.0F);
  const std::vector<std::size_t> row_shape = {row.size()};
  if (!damage.extra.empty()) {
    writer.add_tensor(damage.extra, quant::Type::F32, row_shape, std::as_bytes(std::span(row)));
  }
  writer.write(path);
}

class HostileModel : public ::testing::TestWithParam<Damage> {};

TEST_P(HostileModel, IsRefusedInWords) {
  const Damage& damage = GetParam();
  const TemporaryFile good_file("good.gguf");
  testing::write_random_model(small_model(damage.type), good_file.path);
  const TemporaryFile bad_file("bad.gguf");
  write_damaged(gguf::File::open(good_file.path), damage, bad_file.path);
  try {
    engine::Engine engine(
        {.model_path = bad_file.path, .n_threads = 1, .backend = {}, .progress = {}});
    FAIL() << "loaded";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find(bad_file.path), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    for (const std::string& word : damage.words)
      EXPECT_NE(text.find(word), std::string::npos) << text;
  }
}

Damage with_key(std::string label, std::function<void(gguf::Writer&)> change,
                std::vector<std::string> words) {
  return {.label = std::move(label), .metadata = std::move(change), .words = std::move(words)};
}

std::vector<Damage> damages() {
  using W = gguf::Writer;
  std::vector<Damage> out;
  out.push_back({.label = "missing_trunk_tensor",
                 .without = "blk.1.ffn_up.weight",
                 .words = {"blk.1.ffn_up.weight", "missing", "[512, 256]"}});
  out.push_back({.label = "missing_embedding",
                 .without = "token_embd.weight",
                 .words = {"token_embd.weight", "missing"}});
  out.push_back({.label = "missing_mtp_tensor",
                 .without = "blk.4.nextn.hnorm.weight",
                 .words = {"blk.4.nextn.hnorm.weight", "MTP", "--no-mtp"}});
  out.push_back({.label = "missing_mtp_attention",
                 .without = "blk.4.attn_k.weight",
                 .words = {"blk.4.attn_k.weight", "MTP"}});
  out.push_back({.label = "extra_mtp_tensor",
                 .extra = "blk.5.nextn.enorm.weight",
                 .words = {"blk.5.nextn.enorm.weight", "4 layers and 1 MTP"}});
  out.push_back({.label = "extra_private_tensor", .extra = "my.secret", .words = {"my.secret"}});
  out.push_back({.label = "wrong_matrix_shape",
                 .reshaped = "blk.3.attn_q.weight",
                 .words = {"blk.3.attn_q.weight", "[256, 256]", "[512, 256]"}});
  out.push_back({.label = "wrong_mtp_shape",
                 .reshaped = "blk.4.nextn.eh_proj.weight",
                 .words = {"blk.4.nextn.eh_proj.weight", "[128, 512]", "[256, 512]"}});
  out.push_back({.label = "wrong_norm_length",
                 .reshaped = "blk.0.ssm_norm.weight",
                 .words = {"blk.0.ssm_norm.weight", "[32]", "[64]"}});
  out.push_back({.label = "nan_norm",
                 .poisoned = "blk.2.attn_norm.weight",
                 .words = {"blk.2.attn_norm.weight"}});
  out.push_back({.label = "nan_float_weight",
                 .poisoned = "blk.0.attn_qkv.weight",
                 .words = {"blk.0.attn_qkv.weight"}});
  out.push_back({.label = "nan_scale_of_a_block",
                 .poisoned = "output.weight",
                 .type = quant::Type::Q8_0,
                 .words = {"output.weight"}});
  out.push_back({.label = "nan_scale_in_the_embedding",
                 .poisoned = "token_embd.weight",
                 .type = quant::Type::Q4_K,
                 .words = {"token_embd.weight"}});
  out.push_back({.label = "nan_scale_in_the_mtp_head",
                 .poisoned = "blk.4.ffn_down.weight",
                 .type = quant::Type::Q4_0,
                 .words = {"blk.4.ffn_down.weight"}});
  out.push_back(with_key("other_architecture",
                         [](W& w) { w.set_string("general.architecture", "llama"); },
                         {"llama", "qwen35"}));
  out.push_back(with_key("projector", [](W& w) { w.set_string("general.architecture", "clip"); },
                         {"mmproj"}));
  out.push_back(with_key("no_architecture", [](W& w) { w.remove("general.architecture"); },
                         {"general.architecture"}));
  out.push_back(with_key("no_blocks", [](W& w) { w.set_u32("qwen35.block_count", 0); },
                         {"qwen35.block_count", "0"}));
  out.push_back(with_key("too_many_blocks",
                         [](W& w) { w.set_u32("qwen35.block_count", 4000000000U); },
                         {"qwen35.block_count", "4000000000"}));
  out.push_back(with_key("more_blocks_than_there_are",
                         [](W& w) { w.set_u32("qwen35.block_count", 7); }, {"recurrent_layers"}));
  out.push_back(with_key("only_mtp_layers",
                         [](W& w) { w.set_u32("qwen35.nextn_predict_layers", 5); },
                         {"nextn_predict_layers"}));
  out.push_back(with_key("wrong_value_type",
                         [](W& w) { w.set_i32("qwen35.embedding_length", 256); },
                         {"qwen35.embedding_length", "i32", "u32"}));
  out.push_back(with_key("huge_width",
                         [](W& w) { w.set_u32("qwen35.feed_forward_length", 0x80000000U); },
                         {"qwen35.feed_forward_length"}));
  out.push_back(with_key("zero_heads", [](W& w) { w.set_u32("qwen35.attention.head_count_kv", 0); },
                         {"attention.head_count_kv"}));
  out.push_back(with_key("heads_do_not_divide",
                         [](W& w) { w.set_u32("qwen35.attention.head_count_kv", 3); },
                         {"multiple of attention.head_count_kv"}));
  out.push_back(with_key("odd_head_width",
                         [](W& w) { w.set_u32("qwen35.attention.key_length", 65); },
                         {"attention.key_length"}));
  out.push_back(with_key("epsilon_is_nan",
                         [](W& w) {
                           w.set_f32("qwen35.attention.layer_norm_rms_epsilon",
                                     std::numeric_limits<float>::quiet_NaN());
                         },
                         {"layer_norm_rms_epsilon"}));
  out.push_back(with_key("rope_base_is_negative",
                         [](W& w) { w.set_f32("qwen35.rope.freq_base", -1.0F); },
                         {"rope.freq_base"}));
  out.push_back(with_key(
      "sections_do_not_add_up",
      [](W& w) {
        w.set_i32_array("qwen35.rope.dimension_sections", std::vector<std::int32_t>{3, 3, 3, 0});
      },
      {"rope.dimension_sections", "8"}));
  out.push_back(with_key(
      "negative_section",
      [](W& w) {
        w.set_i32_array("qwen35.rope.dimension_sections", std::vector<std::int32_t>{-3, 9, 2, 0});
      },
      {"rope.dimension_sections"}));
  out.push_back(with_key("no_sections", [](W& w) { w.remove("qwen35.rope.dimension_sections"); },
                         {"rope.dimension_sections"}));
  out.push_back(with_key("rope_scaling",
                         [](W& w) { w.set_string("qwen35.rope.scaling.type", "yarn"); },
                         {"rope.scaling.type", "yarn"}));
  out.push_back(with_key("other_convolution", [](W& w) { w.set_u32("qwen35.ssm.conv_kernel", 3); },
                         {"ssm.conv_kernel"}));
  out.push_back(with_key("inner_size_disagrees",
                         [](W& w) { w.set_u32("qwen35.ssm.inner_size", 320); },
                         {"ssm.inner_size", "256"}));
  out.push_back(with_key("value_heads_do_not_divide",
                         [](W& w) { w.set_u32("qwen35.ssm.group_count", 3); },
                         {"ssm.time_step_rank"}));
  out.push_back(with_key("no_interval",
                         [](W& w) {
                           w.remove("qwen35.attention.recurrent_layers");
                           w.set_u32("qwen35.full_attention_interval", 0);
                         },
                         {"full_attention_interval"}));
  out.push_back(with_key("other_tokenizer",
                         [](W& w) { w.set_string("tokenizer.ggml.model", "llama"); },
                         {"tokenizer.ggml.model"}));
  out.push_back(with_key("unknown_pre_tokenizer",
                         [](W& w) { w.set_string("tokenizer.ggml.pre", "gpt-9"); },
                         {"tokenizer.ggml.pre", "gpt-9"}));
  out.push_back(with_key("no_tokens", [](W& w) { w.remove("tokenizer.ggml.tokens"); },
                         {"tokenizer.ggml.tokens"}));
  return out;
}

INSTANTIATE_TEST_SUITE_P(Files, HostileModel, ::testing::ValuesIn(damages()),
                         [](const auto& param) { return param.param.label; });

}  // namespace
}  // namespace foretoken
