// Small checkpoints are converted and every number of the file is compared with the transformation
// computed here, directly from its definition.
#include "convert/hf_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "convert/json_node.h"
#include "convert/split_files.h"
#include "convert/test_checkpoint.h"
#include "convert/test_convert.h"
#include "convert/write_files.h"
#include "gguf/file.h"
#include "model/qwen35/tensor_map.h"

namespace foretoken::convert {
namespace {

using ::testing::HasSubstr;

/// The sentence with which a checkpoint is refused.
template <class Kind>
std::string refusal(const TestCheckpoint& checkpoint, const HfModelOptions& options = {}) {
  const TestFolder folder;
  checkpoint.write(folder.path());
  try {
    open_hf_model(folder.path(), options);
  } catch (const Kind& error) {
    return error.what();
  } catch (const Error& error) {
    ADD_FAILURE() << "another kind of error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

/// Moves blocks of `block` items: new head j * n_k_heads + k is old head k * ratio + j.
std::vector<float> reordered(const std::vector<float>& x, const TestShape& shape, std::size_t first,
                             std::size_t block) {
  std::vector<float> out(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(first));
  for (int j = 0; j < shape.ratio; ++j) {
    for (int k = 0; k < shape.n_k_heads; ++k) {
      const auto old = static_cast<std::size_t>(k * shape.ratio + j);
      for (std::size_t i = 0; i < block; ++i) out.push_back(x[first + old * block + i]);
    }
  }
  return out;
}

std::vector<float> plus_one(std::vector<float> x) {
  for (float& value : x) value += 1.0F;
  return x;
}

void expect_delta_net(const gguf::File& file, const TestCheckpoint& checkpoint,
                      const TestShape& shape) {
  const auto hf = [&](const std::string& name) {
    return checkpoint.tensors.at("layers.0.linear_attn." + name).numbers;
  };
  const auto got = [&](const std::string& name) { return numbers_of(file, "blk.0." + name); };
  const auto d = static_cast<std::size_t>(shape.d_model);
  const auto head = static_cast<std::size_t>(shape.d_head);
  const auto before = static_cast<std::size_t>(2 * shape.n_k_heads) * head;
  EXPECT_EQ(got("attn_qkv.weight"),
            reordered(hf("in_proj_qkv.weight"), shape, before * d, head * d));
  EXPECT_EQ(got("attn_gate.weight"), reordered(hf("in_proj_z.weight"), shape, 0, head * d));
  EXPECT_EQ(got("ssm_beta.weight"), reordered(hf("in_proj_b.weight"), shape, 0, d));
  EXPECT_EQ(got("ssm_alpha.weight"), reordered(hf("in_proj_a.weight"), shape, 0, d));
  EXPECT_EQ(got("ssm_conv1d.weight"), reordered(hf("conv1d.weight"), shape, before * 4, head * 4));
  EXPECT_EQ(got("ssm_dt.bias"), reordered(hf("dt_bias"), shape, 0, 1));
  EXPECT_EQ(got("ssm_norm.weight"), hf("norm.weight"));
  const std::vector<float> rates = got("ssm_a");
  const std::vector<float> logs = reordered(hf("A_log"), shape, 0, 1);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    EXPECT_NEAR(rates[i], -std::exp(logs[i]), 2e-7 * std::exp(logs[i]));
  }
  const std::vector<float> out = got("ssm_out.weight");
  const std::vector<float> old = hf("out_proj.weight");
  const auto width = static_cast<std::size_t>(shape.value_width());
  for (std::size_t row = 0; row < d; ++row) {
    const auto begin = static_cast<std::ptrdiff_t>(row * width);
    const auto end = begin + static_cast<std::ptrdiff_t>(width);
    EXPECT_EQ(std::vector<float>(out.begin() + begin, out.begin() + end),
              reordered({old.begin() + begin, old.begin() + end}, shape, 0, head))
        << "row " << row;
  }
}

void expect_rest(const gguf::File& file, const TestCheckpoint& checkpoint) {
  const auto hf = [&](const std::string& name) { return checkpoint.tensors.at(name).numbers; };
  EXPECT_EQ(numbers_of(file, "token_embd.weight"), hf("embed_tokens.weight"));
  EXPECT_EQ(numbers_of(file, "output_norm.weight"), plus_one(hf("norm.weight")));
  EXPECT_EQ(numbers_of(file, "blk.0.attn_norm.weight"),
            plus_one(hf("layers.0.input_layernorm.weight")));
  EXPECT_EQ(numbers_of(file, "blk.3.post_attention_norm.weight"),
            plus_one(hf("layers.3.post_attention_layernorm.weight")));
  EXPECT_EQ(numbers_of(file, "blk.3.attn_q.weight"), hf("layers.3.self_attn.q_proj.weight"));
  EXPECT_EQ(numbers_of(file, "blk.3.attn_q_norm.weight"),
            plus_one(hf("layers.3.self_attn.q_norm.weight")));
  EXPECT_EQ(numbers_of(file, "blk.1.ffn_down.weight"), hf("layers.1.mlp.down_proj.weight"));
  if (!checkpoint.tensors.contains("mtp.fc.weight")) return;
  EXPECT_EQ(numbers_of(file, "blk.4.nextn.eh_proj.weight"), hf("mtp.fc.weight"));
  EXPECT_EQ(numbers_of(file, "blk.4.nextn.enorm.weight"),
            plus_one(hf("mtp.pre_fc_norm_embedding.weight")));
  EXPECT_EQ(numbers_of(file, "blk.4.nextn.hnorm.weight"),
            plus_one(hf("mtp.pre_fc_norm_hidden.weight")));
  EXPECT_EQ(numbers_of(file, "blk.4.nextn.shared_head_norm.weight"),
            plus_one(hf("mtp.norm.weight")));
  EXPECT_EQ(numbers_of(file, "blk.4.attn_k_norm.weight"),
            plus_one(hf("mtp.layers.0.self_attn.k_norm.weight")));
}

struct Variant {
  int ratio;
  bool tied;
  bool mtp;
  Prefixes prefixes;
  int n_files;
  safetensors::DType type;
};

class HfModelVariants : public ::testing::TestWithParam<Variant> {};

TEST_P(HfModelVariants, EveryNumberIsTheTransformedOne) {
  const Variant& variant = GetParam();
  TestShape shape;
  shape.ratio = variant.ratio;
  shape.n_k_heads = 3;  // so that no order is its own inverse
  shape.tied = variant.tied;
  shape.mtp = variant.mtp;
  TestCheckpoint checkpoint(shape);
  checkpoint.prefixes = variant.prefixes;
  checkpoint.n_files = variant.n_files;
  checkpoint.type = variant.type;
  const TestFolder folder;
  checkpoint.write(folder.path());
  const gguf::File file = converted(folder.path(), folder / "out.gguf");
  const auto config = model::qwen35::read_config(file);
  EXPECT_NO_THROW(model::qwen35::check_tensors(file, config));
  EXPECT_EQ(config.n_mtp_layers, variant.mtp ? 1 : 0);
  EXPECT_EQ(file.find_tensor("output.weight") == nullptr, variant.tied);
  expect_delta_net(file, checkpoint, shape);
  expect_rest(file, checkpoint);
}

using safetensors::DType;
INSTANTIATE_TEST_SUITE_P(
    Checkpoints, HfModelVariants,
    ::testing::Values(Variant{1, true, true, Prefixes::Official, 1, DType::BF16},
                      Variant{2, false, true, Prefixes::Official, 3, DType::BF16},
                      Variant{3, false, true, Prefixes::TextOnly, 1, DType::BF16},
                      Variant{3, true, false, Prefixes::Inner, 2, DType::F16},
                      Variant{2, false, false, Prefixes::Bare, 1, DType::F16},
                      Variant{2, false, true, Prefixes::Inner, 1, DType::F32}));

TEST(HfModel, TextMembersMayStandAtTheTop) {
  TestCheckpoint checkpoint{TestShape{}};
  nlohmann::ordered_json flat = checkpoint.config["text_config"];
  flat["architectures"] = {"Qwen3_5ForCausalLM"};
  checkpoint.config = flat;
  const TestFolder folder;
  checkpoint.write(folder.path());
  expect_rest(converted(folder.path(), folder / "out.gguf"), checkpoint);
}

TEST(HfModel, KeepsTheNumberTypeUnlessAnotherIsAskedFor) {
  const TestCheckpoint checkpoint{TestShape{}};
  const TestFolder folder;
  checkpoint.write(folder.path());
  const auto type_of = [&](const HfModelOptions& options, const char* name) {
    return converted(folder.path(), folder / "out.gguf", options).require_tensor(name).type;
  };
  EXPECT_EQ(type_of({}, "blk.0.ffn_up.weight"), quant::Type::BF16);
  const HfModelOptions q8{.type = quant::Type::Q8_0};
  EXPECT_EQ(type_of(q8, "blk.0.ffn_up.weight"), quant::Type::Q8_0);
  EXPECT_EQ(type_of(q8, "blk.0.ssm_conv1d.weight"), quant::Type::F32);
  EXPECT_EQ(type_of(q8, "blk.0.ssm_dt.bias"), quant::Type::F32);
  EXPECT_EQ(type_of(q8, "blk.0.attn_norm.weight"), quant::Type::F32);
}

TEST(HfModel, TheNumberOfThreadsChangesNothing) {
  const TestCheckpoint checkpoint{TestShape{}};
  const TestFolder folder;
  checkpoint.write(folder.path());
  const HfModelOptions options{.type = quant::Type::Q8_0};
  converted(folder.path(), folder / "one.gguf", options, 1);
  converted(folder.path(), folder / "four.gguf", options, 4);
  EXPECT_EQ(read_text_file(folder / "one.gguf"), read_text_file(folder / "four.gguf"));
}

TEST(HfModel, AHeadFileHasTheHeadAndWhatItNeeds) {
  const TestCheckpoint checkpoint{TestShape{}};
  const TestFolder folder;
  checkpoint.write(folder.path());
  const gguf::File file =
      converted(folder.path(), folder / "out.gguf", {.output = HfOutput::MtpHead});
  EXPECT_EQ(file.tensors().size(), 18U);
  EXPECT_EQ(file.metadata().require_u32("qwen35.block_count"), 5U);
  EXPECT_EQ(file.find_tensor("blk.0.attn_norm.weight"), nullptr);
}

TEST(HfModel, AVocabularyHasTheKeysAlone) {
  const TestCheckpoint checkpoint{TestShape{}};
  const TestFolder folder;
  checkpoint.write(folder.path());
  const gguf::File file =
      converted(folder.path(), folder / "out.gguf", {.output = HfOutput::Vocabulary});
  EXPECT_TRUE(file.tensors().empty());
  const auto tokens = file.metadata().find_string_array("tokenizer.ggml.tokens").value();
  ASSERT_EQ(tokens.size(), 272U);
  EXPECT_EQ(tokens[256], "ab");
  EXPECT_EQ(tokens[259], "<think>");
  EXPECT_EQ(tokens[271], "[PAD271]");
  const auto kinds = file.metadata().find_i32_array("tokenizer.ggml.token_type").value();
  EXPECT_EQ(kinds[256], 1);
  EXPECT_EQ(kinds[258], 3);
  EXPECT_EQ(kinds[259], 4);
  EXPECT_EQ(kinds[260], 5);
  EXPECT_EQ(file.metadata().require_u32("tokenizer.ggml.eos_token_id"), 258U);
  EXPECT_EQ(file.metadata().require_u32("tokenizer.ggml.padding_token_id"), 257U);
  EXPECT_EQ(file.metadata().require_string("tokenizer.chat_template"), "{{ messages }}");
}

TEST(HfModel, AHeadMayComeFromAnotherCheckpoint) {
  TestShape shape;
  const TestCheckpoint base(shape, 7);
  shape.mtp = false;
  TestCheckpoint finetune(shape, 8);
  finetune.config["text_config"]["mtp_num_hidden_layers"] = 1;
  const TestFolder base_folder;
  const TestFolder folder;
  base.write(base_folder.path());
  finetune.write(folder.path());
  const gguf::File file =
      converted(folder.path(), folder / "out.gguf", {.head_folder = base_folder.path()});
  EXPECT_EQ(numbers_of(file, "blk.4.nextn.eh_proj.weight"),
            base.tensors.at("mtp.fc.weight").numbers);
  EXPECT_EQ(numbers_of(file, "token_embd.weight"),
            finetune.tensors.at("embed_tokens.weight").numbers);
}

TEST(HfModel, SaysWhatToDoAboutALostHead) {
  TestShape shape;
  shape.mtp = false;
  TestCheckpoint checkpoint(shape);
  checkpoint.config["text_config"]["mtp_num_hidden_layers"] = 1;
  const std::string text = refusal<FormatError>(checkpoint);
  EXPECT_THAT(text, HasSubstr("foretoken graft"));
  EXPECT_THAT(text, HasSubstr("--no-mtp"));
  EXPECT_THAT(refusal<FormatError>(checkpoint, {.output = HfOutput::MtpHead}),
              HasSubstr("no MTP head"));
  const TestFolder folder;
  checkpoint.write(folder.path());
  const gguf::File file =
      converted(folder.path(), folder / "out.gguf", {.output = HfOutput::WithoutMtp});
  EXPECT_FALSE(file.metadata().has("qwen35.nextn_predict_layers"));
}

TEST(HfModel, TakesAHeadThatTheConfigForgot) {
  TestCheckpoint checkpoint{TestShape{}};
  checkpoint.config["text_config"].erase("mtp_num_hidden_layers");
  const TestFolder folder;
  checkpoint.write(folder.path());
  const gguf::File file = converted(folder.path(), folder / "out.gguf");
  EXPECT_EQ(file.metadata().require_u32("qwen35.nextn_predict_layers"), 1U);
}

TEST(HfModel, RefusesAnIncompleteHead) {
  TestCheckpoint checkpoint{TestShape{}};
  checkpoint.tensors.erase("mtp.norm.weight");
  const std::string text = refusal<FormatError>(checkpoint);
  EXPECT_THAT(text, HasSubstr("mtp.norm.weight"));
  EXPECT_THAT(text, HasSubstr("incomplete"));
}

TEST(HfModel, RefusesMissingTensorsByName) {
  TestCheckpoint checkpoint{TestShape{}};
  checkpoint.tensors.erase("layers.1.linear_attn.A_log");
  EXPECT_THAT(refusal<FormatError>(checkpoint), HasSubstr("layers.1.linear_attn.A_log"));
}

TEST(HfModel, RefusesAMissingOutputMatrixUnlessTied) {
  TestCheckpoint checkpoint{TestShape{}};
  checkpoint.tensors.erase("lm_head.weight");
  EXPECT_THAT(refusal<FormatError>(checkpoint), HasSubstr("tie_word_embeddings"));
}

TEST(HfModel, RefusesUnknownTensorsByName) {
  TestCheckpoint checkpoint{TestShape{}};
  checkpoint.add("layers.1.mlp.experts.weight", {4, 4});
  EXPECT_THAT(refusal<FormatError>(checkpoint), HasSubstr("layers.1.mlp.experts.weight"));
}

TEST(HfModel, RefusesTensorsOfTheOtherKindOfLayer) {
  TestCheckpoint checkpoint{TestShape{}};
  checkpoint.add("layers.0.self_attn.q_norm.weight", {32});
  EXPECT_THAT(refusal<FormatError>(checkpoint), HasSubstr("layers.0.self_attn.q_norm.weight"));
}

TEST(HfModel, RefusesOtherShapes) {
  TestCheckpoint checkpoint{TestShape{}};
  checkpoint.add("layers.2.mlp.up_proj.weight", {95, 64});
  const std::string text = refusal<FormatError>(checkpoint);
  EXPECT_THAT(text, HasSubstr("[95, 64]"));
  EXPECT_THAT(text, HasSubstr("[96, 64]"));
}

TEST(HfModel, RefusesTransposedKernels) {
  TestCheckpoint checkpoint{TestShape{}};
  const auto channels = static_cast<std::size_t>(TestShape{}.channels());
  checkpoint.add("layers.0.linear_attn.conv1d.weight", {channels, 4, 1});
  EXPECT_THAT(refusal<FormatError>(checkpoint), HasSubstr("MLX"));
}

TEST(HfModel, RefusesOtherNumberTypesByName) {
  TestCheckpoint checkpoint{TestShape{}};
  checkpoint.config["quantization_config"] = {{"quant_method", "fp8"}};
  checkpoint.type = safetensors::DType::BF16;
  const TestFolder folder;
  checkpoint.write(folder.path());
  const std::vector<std::byte> bytes(64);
  safetensors::Writer writer;
  const std::size_t shape[] = {64};
  writer.add_tensor("model.language_model.odd.weight", safetensors::DType::F8_E4M3, shape, bytes);
  writer.write(folder / "model-odd.safetensors");
  try {
    open_hf_model(folder.path());
    FAIL();
  } catch (const UnsupportedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("F8_E4M3"));
    EXPECT_THAT(error.what(), HasSubstr("fp8"));
  }
}

TEST(HfModel, RefusesNumbersThatAreNotFiniteInEveryKindOfTensor) {
  // Copied in one piece, rows moved, columns moved, changed, always F32.
  for (const char* name :
       {"layers.1.mlp.up_proj.weight", "layers.2.linear_attn.in_proj_z.weight",
        "layers.0.linear_attn.out_proj.weight", "layers.3.input_layernorm.weight",
        "layers.1.linear_attn.conv1d.weight", "mtp.fc.weight"}) {
    for (const float value : {std::nanf(""), -HUGE_VALF}) {
      for (const auto type : {DType::BF16, DType::F16, DType::F32}) {
        TestCheckpoint checkpoint{TestShape{}};
        checkpoint.type = type;
        checkpoint.tensors.at(name).numbers.back() = value;
        const TestFolder folder;
        checkpoint.write(folder.path());
        try {
          converted(folder.path(), folder / "out.gguf");
          ADD_FAILURE() << name << " with " << value;
        } catch (const FormatError& error) {
          EXPECT_THAT(error.what(), HasSubstr(folder / "model.safetensors"));
          EXPECT_THAT(error.what(), HasSubstr(name));
          EXPECT_THAT(error.what(), HasSubstr(std::isnan(value) ? "NaN" : "infinite"));
        }
        EXPECT_FALSE(std::filesystem::exists(folder / "out.gguf"));
      }
    }
  }
}

TEST(HfModel, RefusesATokenizerThatIsTooLarge) {
  TestShape shape;
  shape.n_vocab = 256;
  EXPECT_THAT(refusal<FormatError>(TestCheckpoint(shape)), HasSubstr("vocab_size"));
}

TEST(HfModel, SplitFilesReadAsOne) {
  const TestCheckpoint checkpoint{TestShape{}};
  const TestFolder folder;
  checkpoint.write(folder.path());
  const HfModel model = open_hf_model(folder.path());
  ThreadPool pool(2);
  for (const bool keys_alone : {false, true}) {
    const auto targets =
        split_target(model.file_target(folder / "part.gguf"),
                     {.max_tensors = 20, .max_bytes = 100'000, .keys_alone = keys_alone});
    ASSERT_GT(targets.size(), 3U);
    EXPECT_EQ(targets.front().tensors.empty(), keys_alone);
    write_files(targets, pool);
    const gguf::File file = gguf::File::open(targets.front().path);
    EXPECT_EQ(file.n_files(), static_cast<int>(targets.size()));
    EXPECT_EQ(file.tensors().size(), model.source.tensors.size());
    expect_rest(file, checkpoint);
  }
}

}  // namespace
}  // namespace foretoken::convert
