#include "convert/float_types.h"

#include <gtest/gtest.h>

namespace foretoken::convert {
namespace {

using quant::Type;

TensorSource tensor(const char* name, std::vector<std::size_t> shape, Type type = Type::BF16) {
  TensorSource out;
  out.name = name;
  out.shape = std::move(shape);
  out.type = type;
  return out;
}

TEST(FloatTypes, AreFoundByNameInAnyCase) {
  EXPECT_EQ(find_out_type("f32"), Type::F32);
  EXPECT_EQ(find_out_type("BF16"), Type::BF16);
  EXPECT_EQ(find_out_type("q8_0"), Type::Q8_0);
  for (const char* other : {"auto", "q4_0", "q4_k", "f64", "", "bf16 "}) {
    EXPECT_FALSE(find_out_type(other)) << other;
  }
}

TEST(FloatTypes, AutomaticIsTheFirstMatrixOfSixteenBits) {
  const std::vector<TensorSource> mixed{
      tensor("a_norm.weight", {64}, Type::F16), tensor("a.weight", {4, 64}, Type::F32),
      tensor("b.weight", {4, 64}, Type::BF16), tensor("c.weight", {4, 64}, Type::F16)};
  EXPECT_EQ(automatic_type(mixed), Type::BF16);
  const std::vector<TensorSource> wide{tensor("a.weight", {4, 64}, Type::F32)};
  EXPECT_EQ(automatic_type(wide), Type::F16);
  EXPECT_EQ(automatic_type({}), Type::F16);
}

TEST(FloatTypes, MatricesTakeTheTypeAndTheRestStaysF32) {
  for (const Type type : {Type::F32, Type::F16, Type::BF16, Type::Q8_0}) {
    for (const char* name : {"token_embd.weight", "output.weight", "blk.0.attn_q.weight",
                             "blk.0.ssm_alpha.weight", "blk.8.nextn.eh_proj.weight"}) {
      EXPECT_EQ(converted_type(tensor(name, {4, 64}), type), type) << name;
    }
    EXPECT_EQ(converted_type(tensor("blk.0.ssm_conv1d.weight", {64, 4}), type), Type::F32);
    EXPECT_EQ(converted_type(tensor("blk.0.attn_norm.weight", {64}), type), Type::F32);
    EXPECT_EQ(converted_type(tensor("blk.0.x_norm.weight", {4, 64}), type), Type::F32);
    EXPECT_EQ(converted_type(tensor("blk.0.ssm_a", {64}), type), Type::F32);
    EXPECT_EQ(converted_type(tensor("blk.0.ssm_dt.bias", {4, 64}), type), Type::F32);
    EXPECT_EQ(converted_type(tensor("v.position_embd.weight", {4, 64}), type), Type::F32);
  }
}

TEST(FloatTypes, RowsThatNoBlockFitsBecomeF16) {
  EXPECT_EQ(converted_type(tensor("v.blk.0.ffn_down.weight", {64, 4304}), Type::Q8_0), Type::F16);
  EXPECT_EQ(converted_type(tensor("v.blk.0.ffn_down.weight", {64, 4304}), Type::BF16), Type::BF16);
  EXPECT_EQ(converted_type(tensor("v.blk.0.ffn_down.weight", {64, 4320}), Type::Q8_0), Type::Q8_0);
}

TEST(FloatTypes, PatchKernelsAreF16OrF32) {
  for (const char* name : {"v.patch_embd.weight", "v.patch_embd.weight.1"}) {
    const TensorSource kernel = tensor(name, {8, 3, 16, 16});
    EXPECT_EQ(converted_type(kernel, Type::F16), Type::F16) << name;
    for (const Type type : {Type::F32, Type::BF16, Type::Q8_0}) {
      EXPECT_EQ(converted_type(kernel, type), Type::F32) << name;
    }
  }
  EXPECT_EQ(converted_type(tensor("v.patch_embd.bias", {8}), Type::F16), Type::F32);
}

TEST(FloatTypes, HaveTheNumbersOfTheFormat) {
  EXPECT_EQ(out_file_type(Type::F32), 0U);
  EXPECT_EQ(out_file_type(Type::F16), 1U);
  EXPECT_EQ(out_file_type(Type::Q8_0), 7U);
  EXPECT_EQ(out_file_type(Type::BF16), 32U);
}

}  // namespace
}  // namespace foretoken::convert
