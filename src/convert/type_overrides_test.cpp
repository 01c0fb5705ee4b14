#include "convert/type_overrides.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "base/error.h"

namespace foretoken::convert {
namespace {

using quant::Type;

TEST(TypeOverrides, FirstPatternThatMatchesDecides) {
  TypeOverrides overrides;
  overrides.add("blk\\.(0|1)\\.ffn=Q8_0");
  overrides.add("ffn_down=q6_k");
  EXPECT_EQ(overrides.find("blk.1.ffn_down.weight"), Type::Q8_0);
  EXPECT_EQ(overrides.find("blk.2.ffn_down.weight"), Type::Q6_K);
  EXPECT_FALSE(overrides.find("blk.2.ffn_up.weight"));
}

TEST(TypeOverrides, PatternsAreLowerCased) {
  TypeOverrides overrides;
  overrides.add("BLK\\.\\D\\.=f16");  // \D becomes \d
  EXPECT_EQ(overrides.find("blk.3.attn_q.weight"), Type::F16);
}

TEST(TypeOverrides, RefusesMalformedTexts) {
  TypeOverrides overrides;
  for (const char* text : {"ffn", "=q8_0", "ffn=", "ffn=q99", "ff(n=q8_0", "a=b=q8_0", "["}) {
    EXPECT_THROW(overrides.add(text), RequestError) << text;
  }
  EXPECT_THROW(overrides.add(std::string(600, '(') + "=q8_0"), RequestError);
  EXPECT_TRUE(overrides.empty());
}

TEST(TypeOverrides, ReadsAFileOfEntries) {
  const std::string path = ::testing::TempDir() + "overrides.txt";
  std::ofstream(path) << "attn_q=q8_0  attn_k=q6_k\n\nffn_up=bf16";
  TypeOverrides overrides;
  overrides.add_file(path);
  EXPECT_EQ(overrides.find("blk.0.attn_k.weight"), Type::Q6_K);
  EXPECT_EQ(overrides.find("blk.0.ffn_up.weight"), Type::BF16);
  std::ofstream(path) << "attn_q=q8_0 nonsense";
  EXPECT_THROW(overrides.add_file(path), RequestError);
  std::remove(path.c_str());
  EXPECT_THROW(overrides.add_file(path), IoError);
}

}  // namespace
}  // namespace foretoken::convert
