#include "quant/type.h"

#include <gtest/gtest.h>

#include <array>

namespace foretoken::quant {
namespace {

TEST(Type, TableHasTheSizesOfTheFormat) {
  struct Expected {
    std::uint32_t id;
    std::string_view name;
    int elements;
    int bytes;
  };
  const std::array<Expected, 35> expected{{
      {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
      {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
      {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},      {10, "Q2_K", 256, 84},
      {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
      {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
      {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
      {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
      {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
      {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
      {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
      {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},    {40, "NVFP4", 64, 36},
      {41, "Q1_0", 128, 18},    {42, "Q2_0", 64, 18},
  }};
  for (const Expected& e : expected) {
    const auto info = find_type(e.id);
    ASSERT_TRUE(info.has_value()) << e.name;
    EXPECT_EQ(info->name, e.name);
    EXPECT_EQ(info->block_elements, e.elements) << e.name;
    EXPECT_EQ(info->block_bytes, e.bytes) << e.name;
    EXPECT_EQ(find_type_by_name(e.name), static_cast<Type>(e.id));
    EXPECT_EQ(row_bytes(static_cast<Type>(e.id), 512),
              512U / static_cast<unsigned>(e.elements) * static_cast<unsigned>(e.bytes));
  }
}

TEST(Type, RemovedAndUnknownIdsAreAbsent) {
  for (const std::uint32_t id : {4U, 5U, 31U, 32U, 33U, 36U, 37U, 38U, 43U, 97U, 144U, ~0U}) {
    EXPECT_FALSE(find_type(id).has_value()) << id;
  }
}

TEST(Type, NamesAreFoundWithoutRegardToCase) {
  EXPECT_EQ(find_type_by_name("q4_k"), Type::Q4_K);
  EXPECT_EQ(find_type_by_name("Iq4_nL"), Type::IQ4_NL);
  EXPECT_FALSE(find_type_by_name("Q4_KM").has_value());
  EXPECT_FALSE(find_type_by_name("").has_value());
}

}  // namespace
}  // namespace foretoken::quant
