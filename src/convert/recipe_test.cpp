// The mixtures against the figures of a full-shape dry run of llama-quantize for Qwen3.5-9B.
#include "convert/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "gguf/writer.h"

namespace foretoken::convert {
namespace {

using quant::Type;
using Shape = std::vector<std::size_t>;

TensorSource tensor(const std::string& name, const Shape& shape, Type type) {
  TensorSource out;
  out.name = name;
  out.shape = shape;
  out.type = type;
  return out;
}

/// Tensors of Qwen3.5-9B as they are in a BF16 file, in llama-quantize's order. No data.
class Model9B {
 public:
  explicit Model9B(bool mtp = true) {
    add("output.weight", {248320, 4096});
    add("output_norm.weight", {4096});
    add("token_embd.weight", {248320, 4096});
    for (int layer = 0; layer < 32; ++layer) {
      layer % 4 == 3 ? add_attention(layer) : add_delta_net(layer);
      add_ffn(layer);
    }
    if (mtp) add_mtp_block(32);
    std::sort(tensors_.begin(), tensors_.end(), [](const TensorSource& a, const TensorSource& b) {
      return std::pair(layer_of(a.name), a.name) < std::pair(layer_of(b.name), b.name);
    });
    facts_ = {.n_layers = mtp ? 33 : 32, .n_mtp_layers = mtp ? 1 : 0, .gqa = 4};
  }

  const std::vector<TensorSource>& tensors() const { return tensors_; }
  ModelFacts& facts() { return facts_; }
  void drop(const std::string& name) {
    std::erase_if(tensors_, [&](const TensorSource& t) { return t.name == name; });
  }

  std::map<std::string, Type> choose(const char* file_type,
                                     const RecipeOptions& options = {}) const {
    const auto choices = choose_types(find_file_type(file_type).value(), facts_, tensors_, options);
    std::map<std::string, Type> out;
    for (std::size_t i = 0; i < choices.size(); ++i) out[tensors_[i].name] = choices[i].type;
    return out;
  }

  std::size_t bytes(const char* file_type) const {
    const auto types = choose(file_type);
    std::size_t sum = 0;
    for (const TensorSource& t : tensors_) {
      sum += t.n_rows() * quant::row_bytes(types.at(t.name), t.n_cols());
    }
    return sum;
  }

 private:
  void add(const std::string& name, const Shape& shape) {
    const bool float32 = shape.size() == 1 || name.find("ssm_conv1d") != std::string::npos;
    tensors_.push_back(tensor(name, shape, float32 ? Type::F32 : Type::BF16));
  }
  void add_ffn(int layer) {
    const std::string blk = "blk." + std::to_string(layer) + ".";
    add(blk + "attn_norm.weight", {4096});
    add(blk + "post_attention_norm.weight", {4096});
    add(blk + "ffn_gate.weight", {12288, 4096});
    add(blk + "ffn_up.weight", {12288, 4096});
    add(blk + "ffn_down.weight", {4096, 12288});
  }
  void add_attention(int layer) {
    const std::string blk = "blk." + std::to_string(layer) + ".";
    add(blk + "attn_q.weight", {8192, 4096});
    add(blk + "attn_k.weight", {1024, 4096});
    add(blk + "attn_v.weight", {1024, 4096});
    add(blk + "attn_output.weight", {4096, 4096});
    add(blk + "attn_q_norm.weight", {256});
    add(blk + "attn_k_norm.weight", {256});
  }
  void add_delta_net(int layer) {
    const std::string blk = "blk." + std::to_string(layer) + ".";
    add(blk + "attn_qkv.weight", {8192, 4096});
    add(blk + "attn_gate.weight", {4096, 4096});
    add(blk + "ssm_alpha.weight", {32, 4096});
    add(blk + "ssm_beta.weight", {32, 4096});
    add(blk + "ssm_out.weight", {4096, 4096});
    add(blk + "ssm_conv1d.weight", {8192, 4});
    add(blk + "ssm_a", {32});
    add(blk + "ssm_dt.bias", {32});
    add(blk + "ssm_norm.weight", {128});
  }
  void add_mtp_block(int layer) {
    const std::string blk = "blk." + std::to_string(layer) + ".";
    add_attention(layer);
    add_ffn(layer);
    add(blk + "nextn.eh_proj.weight", {4096, 8192});
    add(blk + "nextn.enorm.weight", {4096});
    add(blk + "nextn.hnorm.weight", {4096});
    add(blk + "nextn.shared_head_norm.weight", {4096});
  }

  std::vector<TensorSource> tensors_;
  ModelFacts facts_;
};

/// Layers in which blk.N.`part` has the type.
std::set<int> layers_with(const std::map<std::string, Type>& types, const std::string& part,
                          Type type) {
  std::set<int> out;
  for (const auto& [name, chosen] : types) {
    if (chosen == type && name.ends_with("." + part + ".weight")) out.insert(layer_of(name));
  }
  return out;
}

std::map<Type, int> counts(const std::map<std::string, Type>& types) {
  std::map<Type, int> out;
  for (const auto& [name, type] : types) ++out[type];
  return out;
}

const std::set<int> kDown = {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31, 32};
const std::set<int> kQkv = {0, 1, 2, 6, 9, 12, 18, 21, 24, 28, 29, 30};
const std::set<int> kV = {3, 15, 27, 31, 32};

TEST(Recipe, SizesOfThe9BAreThoseOfLlamaQuantize) {
  struct Row {
    const char* file_type;
    std::size_t with_mtp;
    std::size_t without_mtp;
  };
  constexpr Row kRows[] = {
      {"BF16", 18396352512, 17909729280}, {"F16", 18396352512, 17909729280},
      {"Q8_0", 9775091712, 9516533760},   {"MXFP4_MOE", 9775091712, 9516533760},
      {"Q6_K", 7547932672, 7348291584},   {"Q5_K_M", 6631575552, 6457001984},
      {"Q5_K_S", 6461673472, 6294341632}, {"Q4_K_M", 5769121792, 5618141184},
      {"Q4_K_S", 5477584896, 5340661760}, {"Q4_0", 5439311872, 5302388736},
      {"IQ4_NL", 5569859584, 5432412160}, {"IQ4_XS", 5346906112, 5216929792},
      {"Q3_K_L", 5037543424, 4914546688}, {"Q3_K_M", 4726640640, 4612556800},
      {"Q3_K_S", 4353052672, 4248438784}, {"Q2_K", 3904000000, 3816294400},
  };
  const Model9B with(true);
  const Model9B without(false);
  ASSERT_EQ(with.tensors().size(), 442U);
  ASSERT_EQ(without.tensors().size(), 427U);
  for (const Row& row : kRows) {
    EXPECT_EQ(with.bytes(row.file_type), row.with_mtp) << row.file_type;
    EXPECT_EQ(without.bytes(row.file_type), row.without_mtp) << row.file_type;
  }
}

TEST(Recipe, Q4KMRaisesFirstLastAndEveryThirdLayer) {
  const auto types = Model9B().choose("Q4_K_M");
  EXPECT_EQ(layers_with(types, "ffn_down", Type::Q6_K), kDown);
  EXPECT_EQ(layers_with(types, "attn_qkv", Type::Q6_K), kQkv);
  EXPECT_EQ(layers_with(types, "attn_v", Type::Q6_K), kV);
  EXPECT_EQ(types.at("output.weight"), Type::Q6_K);
  EXPECT_EQ(types.at("token_embd.weight"), Type::Q4_K);
  EXPECT_EQ(types.at("blk.32.nextn.eh_proj.weight"), Type::Q4_K);
  EXPECT_EQ(counts(types),
            (std::map<Type, int>{{Type::F32, 184}, {Type::Q4_K, 223}, {Type::Q6_K, 35}}));
}

TEST(Recipe, WithoutTheMtpBlockTheLayersStayTheSame) {
  const auto types = Model9B(false).choose("Q4_K_M");
  std::set<int> down = kDown;
  std::set<int> v = kV;
  down.erase(32);
  v.erase(32);
  EXPECT_EQ(layers_with(types, "ffn_down", Type::Q6_K), down);
  EXPECT_EQ(layers_with(types, "attn_qkv", Type::Q6_K), kQkv);
  EXPECT_EQ(layers_with(types, "attn_v", Type::Q6_K), v);
}

TEST(Recipe, Q5KMRaisesTheSameTensors) {
  const auto types = Model9B().choose("Q5_K_M");
  EXPECT_EQ(layers_with(types, "ffn_down", Type::Q6_K), kDown);
  EXPECT_EQ(layers_with(types, "attn_qkv", Type::Q6_K), kQkv);
  EXPECT_EQ(counts(types),
            (std::map<Type, int>{{Type::F32, 184}, {Type::Q5_K, 223}, {Type::Q6_K, 35}}));
}

TEST(Recipe, Q6KIsEverywhere) {
  EXPECT_EQ(counts(Model9B().choose("Q6_K")),
            (std::map<Type, int>{{Type::F32, 184}, {Type::Q6_K, 258}}));
}

TEST(Recipe, Q4KSRaisesTheFirstLayers) {
  const auto types = Model9B().choose("Q4_K_S");
  EXPECT_EQ(layers_with(types, "attn_qkv", Type::Q5_K), (std::set<int>{0, 1, 2}));
  EXPECT_EQ(layers_with(types, "attn_v", Type::Q5_K), (std::set<int>{3}));
  EXPECT_EQ(layers_with(types, "ffn_down", Type::Q5_K), (std::set<int>{0, 1, 2, 3}));
  EXPECT_EQ(counts(types)[Type::Q5_K], 8);
}

TEST(Recipe, Q3KMRaisesValuesOutputsAndDownProjections) {
  const auto types = Model9B().choose("Q3_K_M");
  EXPECT_EQ(layers_with(types, "attn_qkv", Type::Q5_K), (std::set<int>{0, 1}));
  EXPECT_EQ(layers_with(types, "ffn_down", Type::Q5_K), (std::set<int>{0, 1}));
  EXPECT_EQ(layers_with(types, "attn_v", Type::Q4_K).size(), 9U);
  EXPECT_EQ(layers_with(types, "attn_output", Type::Q4_K).size(), 9U);
  EXPECT_EQ(layers_with(types, "ffn_down", Type::Q4_K).size(), 31U);
  EXPECT_EQ(types.at("blk.0.ffn_up.weight"), Type::Q3_K);
}

TEST(Recipe, FewValueHeadsGetMoreBits) {
  Model9B model;
  EXPECT_EQ(model.choose("Q2_K").at("blk.3.attn_v.weight"), Type::Q4_K);
  EXPECT_EQ(model.choose("IQ4_XS").at("blk.0.attn_qkv.weight"), Type::Q5_K);
  EXPECT_EQ(model.choose("IQ4_NL").at("blk.0.attn_qkv.weight"), Type::Q5_K);
  model.facts().gqa = 3;
  EXPECT_EQ(model.choose("Q2_K").at("blk.3.attn_v.weight"), Type::Q3_K);
  EXPECT_EQ(model.choose("IQ4_XS").at("blk.0.attn_qkv.weight"), Type::IQ4_XS);
  EXPECT_EQ(model.choose("IQ4_NL").at("blk.0.attn_qkv.weight"), Type::IQ4_NL);
}

TEST(Recipe, AnImportanceMatrixChangesTheFirstDownProjections) {
  const Model9B model;
  RecipeOptions with;
  with.has_imatrix = true;
  const std::set<int> first = {0, 1, 2, 3};
  EXPECT_EQ(layers_with(model.choose("IQ4_XS"), "ffn_down", Type::Q5_K), first);
  EXPECT_EQ(layers_with(model.choose("IQ4_XS", with), "ffn_down", Type::Q5_K), std::set<int>{});
  EXPECT_EQ(layers_with(model.choose("Q4_0"), "ffn_down", Type::Q4_1), std::set<int>{});
  EXPECT_EQ(layers_with(model.choose("Q4_0", with), "ffn_down", Type::Q4_1), first);
  EXPECT_EQ(layers_with(model.choose("Q5_0", with), "ffn_down", Type::Q5_1), first);
}

TEST(Recipe, ATypeByHandShiftsTheMixtureOfLaterLayers) {
  const Model9B model;
  RecipeOptions options;
  options.overrides.add("blk\\.0\\.attn_qkv=q8_0");
  const auto shifted = model.choose("Q4_K_M", options);
  EXPECT_EQ(shifted.at("blk.0.attn_qkv.weight"), Type::Q8_0);
  EXPECT_EQ(layers_with(shifted, "attn_qkv", Type::Q6_K),
            (std::set<int>{1, 2, 4, 10, 13, 16, 22, 25, 28, 29, 30}));
  EXPECT_EQ(layers_with(shifted, "attn_v", Type::Q6_K), (std::set<int>{3, 7, 19, 31, 32}));
  options.stable_mixture = true;
  const auto stable = model.choose("Q4_K_M", options);
  std::set<int> qkv = kQkv;
  qkv.erase(0);
  EXPECT_EQ(layers_with(stable, "attn_qkv", Type::Q6_K), qkv);
  EXPECT_EQ(layers_with(stable, "attn_v", Type::Q6_K), kV);
}

TEST(Recipe, TiedEmbeddingsAreTheOutput) {
  Model9B model;
  model.drop("output.weight");
  EXPECT_EQ(model.choose("Q4_K_M").at("token_embd.weight"), Type::Q6_K);
  EXPECT_EQ(model.choose("Q8_0").at("token_embd.weight"), Type::Q8_0);
  RecipeOptions options;
  options.output_type = Type::Q5_K;
  EXPECT_EQ(model.choose("Q4_K_M", options).at("token_embd.weight"), Type::Q5_K);
  options.embedding_type = Type::Q3_K;
  EXPECT_EQ(model.choose("Q4_K_M", options).at("token_embd.weight"), Type::Q3_K);
  options = {};
  options.leave_output = true;  // means output.weight to the letter
  EXPECT_EQ(model.choose("Q4_K_M", options).at("token_embd.weight"), Type::Q6_K);
}

TEST(Recipe, OptionsForTheTwoLargeTables) {
  const Model9B model;
  RecipeOptions options;
  options.output_type = Type::BF16;
  options.embedding_type = Type::Q8_0;
  options.overrides.add("output=q2_k");  // the two options come first
  auto types = model.choose("Q4_K_M", options);
  EXPECT_EQ(types.at("output.weight"), Type::BF16);
  EXPECT_EQ(types.at("token_embd.weight"), Type::Q8_0);
  EXPECT_EQ(types.at("blk.3.attn_output.weight"), Type::Q2_K);
  options = {};
  options.leave_output = true;
  types = model.choose("Q4_K_M", options);
  EXPECT_EQ(types.at("output.weight"), Type::BF16);
  EXPECT_EQ(types.at("token_embd.weight"), Type::Q4_K);
}

TEST(Recipe, PureAndCopyAndFloats) {
  const Model9B model;
  RecipeOptions options;
  options.pure = true;
  EXPECT_EQ(counts(model.choose("Q4_K_M", options)),
            (std::map<Type, int>{{Type::F32, 184}, {Type::Q4_K, 258}}));
  EXPECT_EQ(counts(model.choose("MXFP4_MOE", options)),
            (std::map<Type, int>{{Type::F32, 184}, {Type::MXFP4, 258}}));
  options = {};
  options.copy = true;
  EXPECT_EQ(counts(model.choose("Q4_K_M", options)),
            (std::map<Type, int>{{Type::F32, 184}, {Type::BF16, 258}}));
  options = {};
  options.overrides.add("ffn=q8_0");
  EXPECT_EQ(counts(model.choose("F16", options)),
            (std::map<Type, int>{{Type::F32, 184}, {Type::F16, 258}}));
}

TEST(Recipe, OddRowsFallBackToShorterBlocks) {
  struct Row {
    const char* file_type;
    Type wanted;
    Type at_96;  // for rows of 96 weights
  };
  constexpr Row kRows[] = {
      {"Q2_K", Type::Q2_K, Type::Q4_0},   {"Q3_K_S", Type::Q3_K, Type::Q4_0},
      {"Q4_K_S", Type::Q4_K, Type::Q5_0}, {"Q5_K_S", Type::Q5_K, Type::Q5_1},
      {"Q6_K", Type::Q6_K, Type::Q8_0},   {"IQ4_XS", Type::IQ4_XS, Type::IQ4_NL},
      {"Q2_0", Type::Q2_0, Type::Q4_0},
  };
  const std::vector<TensorSource> tensors = {tensor("blk.0.attn_gate.weight", {8, 96}, Type::BF16),
                                             tensor("blk.0.ssm_out.weight", {8, 40}, Type::BF16),
                                             tensor("output.weight", {8, 96}, Type::BF16)};
  for (const Row& row : kRows) {
    const auto choices =
        choose_types(find_file_type(row.file_type).value(), {.n_layers = 1}, tensors, {});
    EXPECT_EQ(choices[0].type, row.at_96) << row.file_type;
    EXPECT_EQ(choices[0].fallback_from, row.wanted) << row.file_type;
    EXPECT_EQ(choices[1].type, Type::F16) << row.file_type;
    EXPECT_EQ(choices[1].fallback_from, row.wanted) << row.file_type;
    EXPECT_EQ(choices[2].type, Type::Q8_0) << row.file_type;
    EXPECT_FALSE(choices[2].fallback_from) << row.file_type;
  }
}

TEST(Recipe, BlocksOf32HaveOnlyF16ToFallBackTo) {
  const std::vector<TensorSource> tensors = {tensor("blk.0.attn_gate.weight", {8, 96}, Type::BF16),
                                             tensor("blk.0.ssm_out.weight", {8, 40}, Type::BF16)};
  const auto choices = choose_types(find_file_type("Q8_0").value(), {.n_layers = 1}, tensors, {});
  EXPECT_EQ(choices[0].type, Type::Q8_0);
  EXPECT_FALSE(choices[0].fallback_from);
  EXPECT_EQ(choices[1].type, Type::F16);
  EXPECT_EQ(choices[1].fallback_from, Type::Q8_0);
}

TEST(Recipe, RefusesATypeWithoutAFallback) {
  const std::vector<TensorSource> tensors = {tensor("blk.0.attn_gate.weight", {8, 96}, Type::BF16)};
  RecipeOptions options;
  options.overrides.add("attn_gate=nvfp4");
  try {
    choose_types(find_file_type("Q8_0").value(), {.n_layers = 1}, tensors, options);
    FAIL() << "was accepted";
  } catch (const UnsupportedError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("blk.0.attn_gate.weight"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("NVFP4"));
  }
}

TEST(Recipe, SmallAndSpecialTensorsKeepTheirType) {
  const std::vector<TensorSource> tensors = {
      tensor("blk.0.ffn_up.bias", {256, 256}, Type::F32),
      tensor("blk.0.attn_norm.weight", {256, 256}, Type::F32),
      tensor("blk.0.ssm_conv1d.weight", {256, 256}, Type::F32),
      tensor("blk.0.ffn_gate_inp.weight", {256, 256}, Type::F16),
      tensor("blk.0.ffn_up.weight", {1, 256}, Type::F16),  // one dimension in truth
  };
  const auto choices = choose_types(find_file_type("Q4_K_M").value(), {.n_layers = 1}, tensors, {});
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(choices[i].type, tensors[i].type) << tensors[i].name;
  }
}

TEST(Recipe, ProtectMtpIsAFloorOfEightBits) {
  const Model9B model;
  RecipeOptions options;
  options.protect_mtp = true;
  options.overrides.add("ssm_beta=q4_0");  // what is said by hand counts
  const auto plain = model.choose("Q4_K_M");
  for (const auto& [name, type] : model.choose("Q4_K_M", options)) {
    if (name.find("ssm_beta") != std::string::npos) {
      EXPECT_EQ(type, Type::Q4_0) << name;
    } else if (name.find("ssm_alpha") != std::string::npos ||
               (layer_of(name) == 32 && plain.at(name) != Type::F32)) {
      EXPECT_EQ(type, Type::Q8_0) << name;
    } else {
      EXPECT_EQ(type, plain.at(name)) << name;
    }
  }
  EXPECT_EQ(model.choose("BF16", options), model.choose("BF16"));
}

TEST(Recipe, ProtectMtpLeavesQuantizedWeightsAlone) {
  const std::vector<TensorSource> tensors = {tensor("blk.1.attn_q.weight", {256, 256}, Type::Q6_K)};
  RecipeOptions options;
  options.protect_mtp = true;
  const ModelFacts facts = {.n_layers = 2, .n_mtp_layers = 1};
  EXPECT_EQ(choose_types(find_file_type("Q4_K_M").value(), facts, tensors, options)[0].type,
            Type::Q6_K);
}

TEST(Recipe, Q2KSNeedsImportancesForItsTwoBitTensors) {
  Model9B model;
  const auto choices =
      choose_types(find_file_type("Q2_K_S").value(), model.facts(), model.tensors(), {});
  int n_needing = 0;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const bool expected = choices[i].type == Type::Q2_K && layer_of(model.tensors()[i].name) >= 0;
    EXPECT_EQ(choices[i].needs_importance, expected) << model.tensors()[i].name;
    n_needing += expected ? 1 : 0;
  }
  EXPECT_EQ(n_needing, 258 - 2 - 33 - 4);  // not the tables, values and first down projections
}

TEST(Recipe, LayerOfReadsTheNumberAfterBlk) {
  EXPECT_EQ(layer_of("blk.12.attn_q.weight"), 12);
  EXPECT_EQ(layer_of("output.weight"), -1);
  EXPECT_EQ(layer_of("v.blk.1.attn_q.weight"), -1);
  EXPECT_EQ(layer_of("blk.x"), -1);
  EXPECT_GT(layer_of("blk.99999999999999999999.x"), 1'000'000);
}

gguf::Writer facts_keys() {
  gguf::Writer keys;
  keys.set_string("general.architecture", "qwen35");
  keys.set_u32("qwen35.block_count", 33);
  keys.set_u32("qwen35.nextn_predict_layers", 1);
  keys.set_u32("qwen35.attention.head_count", 16);
  keys.set_u32("qwen35.attention.head_count_kv", 4);
  return keys;
}

TEST(ModelFacts, ComeFromTheKeys) {
  gguf::Writer keys = facts_keys();
  ModelFacts facts = read_model_facts(keys, "test");
  EXPECT_EQ(facts.n_layers, 33);
  EXPECT_EQ(facts.n_mtp_layers, 1);
  EXPECT_EQ(facts.gqa, 4);
  keys.remove("qwen35.attention.head_count_kv");
  keys.remove("qwen35.nextn_predict_layers");
  facts = read_model_facts(keys, "test");
  EXPECT_EQ(facts.n_mtp_layers, 0);
  EXPECT_EQ(facts.gqa, 1);
}

TEST(ModelFacts, AListOfHeadsCountsByItsFirstLayer) {
  gguf::Writer keys = facts_keys();
  const std::int32_t heads[] = {0, 0, 0, 4};
  keys.set_i32_array("qwen35.attention.head_count_kv", heads);
  EXPECT_EQ(read_model_facts(keys, "test").gqa, 0);
  const std::uint32_t more_heads[] = {2, 4};
  keys.set_u32_array("qwen35.attention.head_count_kv", more_heads);
  EXPECT_EQ(read_model_facts(keys, "test").gqa, 8);
}

TEST(ModelFacts, RefusesOtherModelsAndContradictions) {
  gguf::Writer keys = facts_keys();
  keys.set_string("general.architecture", "llama");
  EXPECT_THROW(read_model_facts(keys, "test"), UnsupportedError);
  keys = facts_keys();
  keys.set_u32("qwen35.nextn_predict_layers", 34);
  EXPECT_THROW(read_model_facts(keys, "test"), FormatError);
  keys = facts_keys();
  keys.remove("qwen35.block_count");
  EXPECT_THROW(read_model_facts(keys, "test"), FormatError);
  keys = facts_keys();
  keys.set_u32("qwen35.attention.head_count", 0);
  EXPECT_THROW(read_model_facts(keys, "test"), FormatError);
  keys = facts_keys();
  keys.set_u32_array("qwen35.attention.head_count", {});
  EXPECT_THROW(read_model_facts(keys, "test"), FormatError);
}

}  // namespace
}  // namespace foretoken::convert
