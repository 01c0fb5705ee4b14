#include "convert/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "convert/hf_names.h"
#include "convert/test_checkpoint.h"

namespace foretoken::convert {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;

HfConfig parse(const ordered_json& document) {
  return parse_hf_config(document.dump(), "config.json");
}

/// A good config with one member of the text model replaced; null takes it away.
ordered_json with(const char* member, const ordered_json& value) {
  ordered_json out = test_config({});
  out["text_config"][member] = value;
  if (value.is_null()) out["text_config"].erase(member);
  return out;
}

TEST(HfConfig, ReadsTheShape) {
  const HfConfig config = parse(test_config({.ratio = 3}));
  EXPECT_EQ(config.n_layers, 4);
  EXPECT_EQ(config.n_mtp_layers, 1);
  EXPECT_EQ(config.n_v_heads, 6);
  EXPECT_EQ(config.conv_channels(), 2 * 64 + 192);
  EXPECT_EQ(config.n_rot(), 8);
  EXPECT_EQ(config.rope_sections, (std::array<int, 4>{2, 1, 1, 0}));
  EXPECT_EQ(config.is_recurrent, (std::vector<bool>{true, true, true, false}));
  EXPECT_FALSE(config.rope_scaling);
  EXPECT_FALSE(config.vision);
}

TEST(HfConfig, TheListOfLayersGoesBeforeTheInterval) {
  const HfConfig config = parse(with(
      "layer_types", {"full_attention", "linear_attention", "linear_attention", "full_attention"}));
  EXPECT_EQ(config.is_recurrent, (std::vector<bool>{false, true, true, false}));
}

TEST(HfConfig, EitherTieCounts) {
  ordered_json document = test_config({});
  document["text_config"]["tie_word_embeddings"] = true;
  EXPECT_TRUE(parse(document).ties_embeddings);
}

TEST(HfConfig, ReadsYarn) {
  ordered_json document = test_config({});
  ordered_json& rope = document["text_config"]["rope_parameters"];
  rope["rope_type"] = "yarn";
  rope["factor"] = 4.0;
  rope["original_max_position_embeddings"] = 1024;
  rope["beta_fast"] = 32;
  const HfConfig config = parse(document);
  ASSERT_TRUE(config.rope_scaling);
  EXPECT_EQ(config.rope_scaling->factor, 4.0);
  EXPECT_EQ(config.rope_scaling->original_context, 1024);
  EXPECT_EQ(config.rope_scaling->beta_fast, 32.0);
  EXPECT_FALSE(config.rope_scaling->beta_slow);
}

TEST(HfConfig, RefusesOtherModelsAndVariants) {
  ordered_json moe = test_config({});
  moe["architectures"] = {"Qwen3_5MoeForConditionalGeneration"};
  EXPECT_THROW(parse(moe), UnsupportedError);
  EXPECT_THROW(parse(with("num_experts", 128)), UnsupportedError);
  EXPECT_THROW(parse(with("attention_bias", true)), UnsupportedError);
  EXPECT_THROW(parse(with("attn_output_gate", false)), UnsupportedError);
  EXPECT_THROW(parse(with("hidden_act", "gelu")), UnsupportedError);
  EXPECT_THROW(parse(with("linear_conv_kernel_dim", 8)), UnsupportedError);
  EXPECT_THROW(parse(with("linear_value_head_dim", 64)), UnsupportedError);
  EXPECT_THROW(parse(with("layer_types", {"a", "b", "c", "d"})), UnsupportedError);
}

TEST(HfConfig, RefusesValuesThatAreWrongOrMissing) {
  for (const ordered_json& value :
       {ordered_json(), ordered_json(0), ordered_json(-1), ordered_json(1.5), ordered_json("64"),
        ordered_json(18446744073709551615U), ordered_json(true), ordered_json::array({64})}) {
    for (const char* member : {"hidden_size", "num_hidden_layers", "vocab_size",
                               "num_attention_heads", "linear_num_value_heads"}) {
      EXPECT_THROW(parse(with(member, value)), FormatError) << member << " " << value;
    }
  }
  EXPECT_THROW(parse(with("num_attention_heads", 3)), FormatError);
  EXPECT_THROW(parse(with("linear_num_value_heads", 5)), FormatError);
  EXPECT_THROW(parse(with("layer_types", {"full_attention"})), FormatError);
  EXPECT_THROW(parse(with("rms_norm_eps", -1.0)), FormatError);
}

TEST(HfConfig, NamesFileAndMember) {
  try {
    parse(with("hidden_size", "wide"));
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("config.json"));
    EXPECT_THAT(error.what(), HasSubstr("text_config.hidden_size"));
    EXPECT_THAT(error.what(), HasSubstr("\"wide\""));
  }
}

/// A change of a good config and what the refusal has to say.
struct Refused {
  const char* pointer;  ///< JSON pointer of the member
  ordered_json value;
  const char* member;  ///< as the sentence names it
};

TEST(HfConfig, EveryRefusalNamesFileAndMember) {
  const ordered_json vision = {{"depth", 1},
                               {"hidden_size", 16},
                               {"intermediate_size", 24},
                               {"num_heads", 2},
                               {"out_hidden_size", 64}};
  const auto tower = [&vision](const char* member, const ordered_json& value) {
    ordered_json out = vision;
    out[member] = value;
    return out;
  };
  const std::vector<Refused> cases{
      {"/architectures", {"Qwen3NextForCausalLM"}, "architectures"},
      {"/architectures", {"Qwen3_5MoeForConditionalGeneration"}, "architectures"},
      {"/architectures", {"LlamaForCausalLM"}, "architectures"},
      {"/architectures", "Qwen3_5ForCausalLM", "architectures"},
      {"/model_type", "qwen3_next", "model_type"},
      {"/text_config/model_type", "qwen3_5_moe_text", "text_config.model_type"},
      {"/text_config", 5, "text_config"},
      {"/text_config/num_experts", 8, "num_experts"},
      {"/text_config/attention_bias", true, "attention_bias"},
      {"/text_config/attn_output_gate", false, "attn_output_gate"},
      {"/text_config/attn_output_gate", 1, "attn_output_gate"},
      {"/text_config/hidden_act", "gelu", "hidden_act"},
      {"/text_config/output_gate_type", "sigmoid", "output_gate_type"},
      {"/text_config/mtp_use_dedicated_embeddings", true, "mtp_use_dedicated_embeddings"},
      {"/text_config/mtp_num_hidden_layers", 17, "mtp_num_hidden_layers"},
      {"/text_config/num_hidden_layers", 512, "num_hidden_layers"},
      {"/text_config/hidden_size", 1 << 18, "hidden_size"},
      {"/text_config/intermediate_size", 0, "intermediate_size"},
      {"/text_config/vocab_size", 1 << 23, "vocab_size"},
      {"/text_config/max_position_embeddings", 0, "max_position_embeddings"},
      {"/text_config/rms_norm_eps", nullptr, "rms_norm_eps"},
      {"/text_config/rms_norm_eps", 1.0, "rms_norm_eps"},
      {"/text_config/num_key_value_heads", 3, "num_attention_heads"},
      {"/text_config/head_dim", 2048, "head_dim"},
      {"/text_config/linear_conv_kernel_dim", 3, "linear_conv_kernel_dim"},
      {"/text_config/linear_num_key_heads", 3, "linear_num_value_heads"},
      {"/text_config/linear_value_head_dim", 16, "linear_value_head_dim"},
      {"/text_config/full_attention_interval", 0, "full_attention_interval"},
      {"/text_config/layer_types", {"linear_attention"}, "layer_types"},
      {"/text_config/layer_types", "linear_attention", "layer_types"},
      {"/text_config/layer_types", {"full_attention", "sliding", "x", "y"}, "layer_types[1]"},
      {"/text_config/rope_parameters/rope_theta", 0, "rope_theta"},
      {"/text_config/rope_parameters/rope_type", "llama3", "rope_type"},
      {"/text_config/rope_parameters/rope_type", "yarn", "factor"},
      {"/text_config/rope_parameters/partial_rotary_factor", 1.5, "partial_rotary_factor"},
      {"/text_config/rope_parameters/partial_rotary_factor", 0.1, "partial_rotary_factor"},
      {"/text_config/rope_parameters/mrope_section", {11, 11, 10}, "mrope_section"},
      {"/text_config/rope_parameters/mrope_section", {4}, "mrope_section"},
      {"/text_config/rope_parameters/mrope_section", {5, -1, 0}, "mrope_section[1]"},
      {"/text_config/rope_parameters/mrope_interleaved", false, "mrope_interleaved"},
      {"/text_config/tie_word_embeddings", "yes", "tie_word_embeddings"},
      {"/vision_config", tower("depth", nullptr), "vision_config.depth"},
      {"/vision_config", tower("patch_size", 0), "vision_config.patch_size"},
      {"/vision_config", tower("deepstack_visual_indexes", {1}), "deepstack_visual_indexes[0]"},
  };
  for (const Refused& refused : cases) {
    ordered_json document = test_config({});
    document[ordered_json::json_pointer(refused.pointer)] = refused.value;
    try {
      parse_hf_config(document.dump(), "folder/config.json");
      ADD_FAILURE() << refused.pointer << " = " << refused.value << " was taken";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::StartsWith("folder/config.json: "));
      EXPECT_THAT(error.what(), HasSubstr(refused.member)) << refused.pointer;
    }
  }
}

TEST(HfConfig, TextMembersMayStandAtTheTop) {
  ordered_json flat = test_config({.ratio = 3})["text_config"];
  flat["architectures"] = {"Qwen3_5ForCausalLM"};
  EXPECT_EQ(parse(flat).n_v_heads, 6);
  flat["hidden_size"] = "wide";
  try {
    parse(flat);
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'hidden_size'"));
  }
}

TEST(HfConfig, NeedsNoMoreThanAModelHas) {
  ordered_json document = test_config({});
  for (const char* member : {"mtp_num_hidden_layers", "model_type"}) {
    document["text_config"].erase(member);
  }
  document["text_config"]["head_dim"] = 256;
  document["text_config"].erase("rope_parameters");
  const HfConfig config = parse(document);
  EXPECT_EQ(config.n_mtp_layers, 0);
  EXPECT_EQ(config.rope_theta, 1e7);
  EXPECT_EQ(config.n_rot(), 64);
  EXPECT_EQ(config.rope_sections, (std::array<int, 4>{11, 11, 10, 0}));
}

TEST(HfConfig, RopeSectionsMustFillTheRotatedHalf) {
  ordered_json document = test_config({});
  document["text_config"]["rope_parameters"]["mrope_section"] = {11, 11, 10};
  EXPECT_THROW(parse(document), FormatError);
}

TEST(HfNames, AllSpellingsHaveOneCanonicalName) {
  for (const char* name : {"model.language_model.layers.3.mlp.up_proj.weight",
                           "language_model.model.layers.3.mlp.up_proj.weight",
                           "model.layers.3.mlp.up_proj.weight", "layers.3.mlp.up_proj.weight"}) {
    EXPECT_EQ(canonical_name(name).canonical, "layers.3.mlp.up_proj.weight") << name;
    EXPECT_EQ(canonical_name(name).part, HfPart::Trunk) << name;
  }
  EXPECT_EQ(canonical_name("language_model.lm_head.weight").canonical, "lm_head.weight");
  EXPECT_EQ(canonical_name("model.mtp.fc.weight").canonical, "mtp.fc.weight");
  EXPECT_EQ(canonical_name("model.mtp.fc.weight").part, HfPart::Mtp);
  EXPECT_EQ(canonical_name("model.visual.pos_embed.weight").canonical, "visual.pos_embed.weight");
  EXPECT_EQ(canonical_name("visual.pos_embed.weight").part, HfPart::Vision);
  EXPECT_EQ(canonical_name("model.layers.0.self_attn.rotary_emb.inv_freq").part, HfPart::Ignored);
}

TEST(HfNames, GgufNamesGoBothWays) {
  const HfConfig config = parse(test_config({}));
  for (const auto& [name, tensor] : TestCheckpoint({}).tensors) {
    const auto rule = find_text_rule(name, config);
    ASSERT_TRUE(rule) << name;
    EXPECT_EQ(find_hf_name(rule->name, config), name);
  }
}

TEST(HfNames, OddNamesHaveNoRule) {
  const HfConfig config = parse(test_config({}));
  for (const char* name :
       {"", "layers.", "layers.x.mlp.up_proj.weight", "layers.-1.mlp.up_proj.weight",
        "layers.01.mlp.up_proj.weight", "layers.99999999999.mlp.up_proj.weight", "mtp.", "mtp.x",
        "layers.0", "layers.0.", "mtp.layers.0.linear.weight"}) {
    EXPECT_FALSE(find_text_rule(name, config)) << name;
  }
}

}  // namespace
}  // namespace foretoken::convert
