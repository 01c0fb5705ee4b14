#include "convert/file_type.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace foretoken::convert {
namespace {

TEST(FileType, IsFoundByNameAliasAndNumber) {
  EXPECT_EQ(find_file_type("Q4_K_M")->id, 15U);
  EXPECT_EQ(find_file_type("q4_k_m")->id, 15U);
  EXPECT_EQ(find_file_type("q4_K")->name, "Q4_K_M");
  EXPECT_EQ(find_file_type("Q3_K")->name, "Q3_K_M");
  EXPECT_EQ(find_file_type("Q5_K")->name, "Q5_K_M");
  EXPECT_EQ(find_file_type("18")->name, "Q6_K");
  EXPECT_EQ(find_file_type("0")->name, "F32");
  EXPECT_FALSE(find_file_type("18x"));
  EXPECT_FALSE(find_file_type("model.gguf"));
  EXPECT_FALSE(find_file_type(""));
  EXPECT_FALSE(find_file_type("-1"));
}

TEST(FileType, NamesOfTypesThatAreNotMadeAreRefusedByName) {
  EXPECT_THROW(static_cast<void>(find_file_type("IQ2_XXS")), UnsupportedError);
  EXPECT_THROW(static_cast<void>(find_file_type("tq1_0")), UnsupportedError);
  EXPECT_THROW(static_cast<void>(find_file_type("24")), UnsupportedError);
}

TEST(FileType, IsGuessedAsLlamaCppDoes) {
  EXPECT_EQ(guess_file_type(quant::Type::BF16), 32U);
  EXPECT_EQ(guess_file_type(quant::Type::Q2_K), 10U);
  EXPECT_EQ(guess_file_type(quant::Type::Q4_K), 15U);
  EXPECT_EQ(guess_file_type(quant::Type::IQ4_XS), 30U);
  EXPECT_EQ(guess_file_type(quant::Type::IQ1_M), 31U);
  EXPECT_EQ(guess_file_type(quant::Type::MXFP4), 0U);
  EXPECT_EQ(guess_file_type(quant::Type::I32), 0U);
}

}  // namespace
}  // namespace foretoken::convert
