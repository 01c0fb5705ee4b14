#include "convert/hf_vision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "convert/test_checkpoint.h"
#include "convert/test_convert.h"

namespace foretoken::convert {
namespace {

using ::testing::HasSubstr;

constexpr HfModelOptions kVision{.output = HfOutput::Vision};
constexpr std::size_t kWidth = 16;
constexpr std::size_t kPatch = 4;

/// A checkpoint with a tower of one block; rows of its ffn_down have 24 numbers.
TestCheckpoint checkpoint_with_tower() {
  TestCheckpoint out{TestShape{}};
  out.prefixes = Prefixes::TextOnly;
  out.config["vision_config"] = {{"depth", 1},
                                 {"hidden_size", kWidth},
                                 {"intermediate_size", 24},
                                 {"num_heads", 2},
                                 {"patch_size", kPatch},
                                 {"num_position_embeddings", 9},
                                 {"out_hidden_size", 64},
                                 {"deepstack_visual_indexes", nlohmann::ordered_json::array()}};
  const auto add_linear = [&out](const std::string& name, std::size_t rows, std::size_t cols) {
    out.add("visual." + name + ".weight", {rows, cols});
    out.add("visual." + name + ".bias", {rows});
  };
  for (const char* norm : {"blocks.0.norm1", "blocks.0.norm2", "merger.norm"}) {
    out.add(fmt::format("visual.{}.weight", norm), {kWidth});
    out.add(fmt::format("visual.{}.bias", norm), {kWidth});
  }
  add_linear("blocks.0.attn.qkv", 3 * kWidth, kWidth);
  add_linear("blocks.0.attn.proj", kWidth, kWidth);
  add_linear("blocks.0.mlp.linear_fc1", 24, kWidth);
  add_linear("blocks.0.mlp.linear_fc2", kWidth, 24);
  add_linear("merger.linear_fc1", 4 * kWidth, 4 * kWidth);
  add_linear("merger.linear_fc2", 64, 4 * kWidth);
  out.add("visual.patch_embed.proj.weight", {kWidth, 3, 2, kPatch, kPatch});
  out.add("visual.patch_embed.proj.bias", {kWidth});
  out.add("visual.pos_embed.weight", {9, kWidth});
  return out;
}

/// A folder with the checkpoint and the statistics of images.
struct Folder {
  TestFolder folder;
  explicit Folder(const TestCheckpoint& checkpoint) {
    checkpoint.write(folder.path());
    write("preprocessor_config.json",
          R"({"image_mean": [0.5, 0.25, 0.75], "image_std": [0.5, 0.5, 1]})");
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder / name) << text;
  }
  gguf::File file(const HfModelOptions& options = kVision) const {
    return converted(folder.path(), folder / "out.gguf", options);
  }
};

template <class Kind>
std::string refusal(const TestCheckpoint& checkpoint) {
  const Folder folder(checkpoint);
  try {
    open_hf_model(folder.folder.path(), kVision);
  } catch (const Kind& error) {
    return error.what();
  } catch (const Error& error) {
    return std::string("another kind of error: ") + error.what();
  }
  return "nothing was refused";
}

TEST(HfVision, TakesNumbersAsTheyAreAndTheKernelFrameByFrame) {
  const TestCheckpoint checkpoint = checkpoint_with_tower();
  const gguf::File file = Folder(checkpoint).file();
  const auto hf = [&](const std::string& name) { return checkpoint.tensors.at(name).numbers; };
  EXPECT_EQ(file.tensors().size(), 22U);
  // Norms of the tower are ordinary ones.
  EXPECT_EQ(numbers_of(file, "v.blk.0.ln1.weight"), hf("visual.blocks.0.norm1.weight"));
  EXPECT_EQ(numbers_of(file, "v.post_ln.bias"), hf("visual.merger.norm.bias"));
  EXPECT_EQ(numbers_of(file, "v.blk.0.attn_qkv.weight"), hf("visual.blocks.0.attn.qkv.weight"));
  EXPECT_EQ(numbers_of(file, "v.blk.0.attn_out.bias"), hf("visual.blocks.0.attn.proj.bias"));
  EXPECT_EQ(numbers_of(file, "v.blk.0.ffn_up.weight"), hf("visual.blocks.0.mlp.linear_fc1.weight"));
  EXPECT_EQ(numbers_of(file, "v.blk.0.ffn_down.weight"),
            hf("visual.blocks.0.mlp.linear_fc2.weight"));
  EXPECT_EQ(numbers_of(file, "mm.0.weight"), hf("visual.merger.linear_fc1.weight"));
  EXPECT_EQ(numbers_of(file, "mm.2.bias"), hf("visual.merger.linear_fc2.bias"));
  EXPECT_EQ(numbers_of(file, "v.position_embd.weight"), hf("visual.pos_embed.weight"));
  const std::vector<float> kernel = hf("visual.patch_embed.proj.weight");
  for (std::size_t frame = 0; frame < 2; ++frame) {
    const std::string name = frame == 0 ? "v.patch_embd.weight" : "v.patch_embd.weight.1";
    EXPECT_EQ(file.require_tensor(name).shape,
              (std::vector<std::size_t>{kWidth, 3, kPatch, kPatch}));
    const std::vector<float> numbers = numbers_of(file, name);
    constexpr std::size_t kPixels = kPatch * kPatch;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::size_t channel = i / kPixels;  // of all outputs
      ASSERT_EQ(numbers[i], kernel[(2 * channel + frame) * kPixels + i % kPixels]) << i;
    }
  }
}

TEST(HfVision, WritesTheTowersShape) {
  const gguf::File file = Folder(checkpoint_with_tower()).file();
  const gguf::Metadata& keys = file.metadata();
  EXPECT_EQ(keys.require_string("general.architecture"), "clip");
  EXPECT_EQ(keys.require_string("general.type"), "mmproj");
  EXPECT_EQ(keys.require_string("clip.projector_type"), "qwen3vl_merger");
  EXPECT_EQ(keys.require_u32("clip.vision.image_size"), 12U);  // 3 x 3 patches
  EXPECT_EQ(keys.require_u32("clip.vision.patch_size"), 4U);
  EXPECT_EQ(keys.require_u32("clip.vision.block_count"), 1U);
  EXPECT_EQ(keys.require_u32("clip.vision.embedding_length"), 16U);
  EXPECT_EQ(keys.require_u32("clip.vision.feed_forward_length"), 24U);
  EXPECT_EQ(keys.require_u32("clip.vision.projection_dim"), 64U);
  EXPECT_EQ(keys.require_u32("clip.vision.spatial_merge_size"), 2U);
  EXPECT_FALSE(keys.has("tokenizer.ggml.model"));
}

TEST(HfVision, TypesFollowTheRule) {
  const Folder folder(checkpoint_with_tower());
  const gguf::File q8 = folder.file({.output = HfOutput::Vision, .type = quant::Type::Q8_0});
  EXPECT_EQ(q8.require_tensor("mm.0.weight").type, quant::Type::Q8_0);
  EXPECT_EQ(q8.require_tensor("v.blk.0.ffn_down.weight").type, quant::Type::F16);
  EXPECT_EQ(q8.require_tensor("v.patch_embd.weight.1").type, quant::Type::F32);
  const gguf::File f16 = folder.file({.output = HfOutput::Vision, .type = quant::Type::F16});
  EXPECT_EQ(f16.require_tensor("v.patch_embd.weight.1").type, quant::Type::F16);
  EXPECT_EQ(f16.require_tensor("v.position_embd.weight").type, quant::Type::F32);
}

TEST(HfVision, TheTextModelHasNoneOfIt) {
  const gguf::File file = Folder(checkpoint_with_tower()).file({});
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    EXPECT_FALSE(tensor.name.starts_with("v.") || tensor.name.starts_with("mm.")) << tensor.name;
  }
}

TEST(HfVision, RefusesTowersThatDoNotFit) {
  TestCheckpoint deep = checkpoint_with_tower();
  deep.config["vision_config"]["deepstack_visual_indexes"] = {0};
  EXPECT_THAT(refusal<UnsupportedError>(deep), HasSubstr("deepstack_visual_indexes"));
  TestCheckpoint oblong = checkpoint_with_tower();
  oblong.config["vision_config"]["num_position_embeddings"] = 10;
  EXPECT_THAT(refusal<FormatError>(oblong), HasSubstr("num_position_embeddings"));
  TestCheckpoint wide = checkpoint_with_tower();
  wide.config["vision_config"]["out_hidden_size"] = 65;
  EXPECT_THAT(refusal<FormatError>(wide), HasSubstr("out_hidden_size"));
  TestCheckpoint slow = checkpoint_with_tower();
  slow.config["vision_config"]["temporal_patch_size"] = 4;
  EXPECT_THAT(refusal<UnsupportedError>(slow), HasSubstr("temporal_patch_size"));
}

TEST(HfVision, RefusesMissingUnknownAndMisshapenTensorsByName) {
  TestCheckpoint missing = checkpoint_with_tower();
  missing.tensors.erase("visual.blocks.0.attn.qkv.bias");
  EXPECT_THAT(refusal<FormatError>(missing), HasSubstr("visual.blocks.0.attn.qkv.bias"));
  TestCheckpoint unknown = checkpoint_with_tower();
  unknown.add("visual.deepstack_merger_list.0.norm.weight", {kWidth});
  EXPECT_THAT(refusal<FormatError>(unknown), HasSubstr("visual.deepstack_merger_list.0"));
  TestCheckpoint misshapen = checkpoint_with_tower();
  misshapen.add("visual.pos_embed.weight", {9, 17});
  EXPECT_THAT(refusal<FormatError>(misshapen), HasSubstr("[9, 17]"));
  TestCheckpoint none{TestShape{}};
  EXPECT_THAT(refusal<FormatError>(none), HasSubstr("vision_config"));
  none.config["vision_config"] = checkpoint_with_tower().config["vision_config"];
  EXPECT_THAT(refusal<FormatError>(none), HasSubstr("base model's vision file"));
}

TEST(HfVision, TheProcessorHasTheLastWordOnStatistics) {
  const Folder folder(checkpoint_with_tower());
  const std::string& path = folder.folder.path();
  EXPECT_EQ(read_image_statistics(path).mean, (std::array<float, 3>{0.5F, 0.25F, 0.75F}));
  EXPECT_EQ(read_image_statistics(path).deviation, (std::array<float, 3>{0.5F, 0.5F, 1.0F}));
  folder.write("processor_config.json", R"({"image_processor": {"image_mean": [0, 0, 1]}})");
  EXPECT_EQ(read_image_statistics(path).mean, (std::array<float, 3>{0.0F, 0.0F, 1.0F}));
  EXPECT_EQ(read_image_statistics(path).deviation, (std::array<float, 3>{0.5F, 0.5F, 1.0F}));
  folder.write("processor_config.json", R"({"image_mean": [0, 0]})");
  EXPECT_THROW(read_image_statistics(path), FormatError);
  const TestFolder empty;
  EXPECT_THROW(read_image_statistics(empty.path()), FormatError);
}

}  // namespace
}  // namespace foretoken::convert
