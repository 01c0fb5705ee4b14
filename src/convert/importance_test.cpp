#include "convert/importance.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "gguf/file.h"

namespace foretoken::convert {
namespace {

gguf::ImatrixFile small_file() {
  gguf::ImatrixFile file;
  file.datasets = {"calibration.txt", "more.txt"};
  file.chunk_count = 3;
  file.chunk_size = 512;
  file.entries["blk.0.attn_q.weight"] = {{8.0F, 4.0F}, 4};
  file.entries["blk.0.ffn_up.weight"] = {{8.0F, 4.0F}, 0};
  file.entries["blk.1.ffn_up.weight"] = {{1.0F, 0.0F}, 1};
  return file;
}

TEST(Importance, IsTheMeanSquareOrOne) {
  const Importances all = make_importances(small_file());
  EXPECT_EQ(all.at("blk.0.attn_q.weight"), (std::vector<float>{2.0F, 1.0F}));
  EXPECT_EQ(all.at("blk.0.ffn_up.weight"), (std::vector<float>{1.0F, 1.0F}));
  EXPECT_EQ(all.at("blk.1.ffn_up.weight"), (std::vector<float>{1.0F, 0.0F}));
}

TEST(Importance, IsFilteredByPartsOfNames) {
  EXPECT_EQ(make_importances(small_file(), {.include = {"blk.1", "attn"}, .exclude = {}}).size(),
            2U);
  EXPECT_EQ(make_importances(small_file(), {.include = {}, .exclude = {"ffn"}}).size(), 1U);
  EXPECT_TRUE(make_importances(small_file(), {.include = {"none"}, .exclude = {}}).empty());
}

TEST(Importance, KeysTellWhatWasUsed) {
  gguf::Writer keys;
  set_importance_keys(keys, std::string(200, 'p'), small_file(), 2);
  const auto bytes = keys.to_bytes();
  const gguf::File file = gguf::File::from_memory(bytes, "test");
  const gguf::Metadata& read = file.metadata();
  ASSERT_EQ(read.entries().size(), 4U);
  EXPECT_EQ(read.require_string("quantize.imatrix.file"), std::string(127, 'p'));
  EXPECT_EQ(read.require_string("quantize.imatrix.dataset"), "calibration.txt");
  EXPECT_EQ(read.require_u32("quantize.imatrix.entries_count"), 2U);
  EXPECT_EQ(read.require_u32("quantize.imatrix.chunks_count"), 3U);
}

TEST(Importance, KeysWithoutDatasetOrChunksAreLeftOut) {
  gguf::ImatrixFile file = small_file();
  file.datasets.clear();
  file.chunk_count = 0;
  gguf::Writer keys;
  set_importance_keys(keys, "p", file, 3);
  const auto bytes = keys.to_bytes();
  EXPECT_EQ(gguf::File::from_memory(bytes, "test").metadata().entries().size(), 2U);
}

}  // namespace
}  // namespace foretoken::convert
