#include "safetensors/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace foretoken::safetensors {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

std::vector<std::byte> filled(std::size_t size, int value) {
  return std::vector<std::byte>(size, static_cast<std::byte>(value));
}

std::string header_text(std::span<const std::byte> file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  return {reinterpret_cast<const char*>(file.data()) + 8, length};
}

TEST(SafetensorsWriter, MakesTheReferencesHeader) {
  Writer writer;
  const auto data = filled(8, 1);
  writer.set_metadata("format", "pt");
  writer.add_tensor("b", DType::BF16, std::vector<std::size_t>{2, 2}, data);
  writer.add_tensor("c", DType::F32, std::vector<std::size_t>{2}, data);
  writer.add_tensor("a", DType::BF16, std::vector<std::size_t>{4}, data);
  const std::string text = header_text(writer.to_bytes());
  EXPECT_EQ(text.size() % 8, 0u);
  EXPECT_THAT(text, StartsWith(R"({"__metadata__":{"format":"pt"},)"
                               R"("c":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                               R"("a":{"dtype":"BF16","shape":[4],"data_offsets":[8,16]},)"
                               R"("b":{"dtype":"BF16","shape":[2,2],"data_offsets":[16,24]}})"));
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  Writer writer;
  const auto small = filled(3, 7);
  const auto large = filled(16, 9);
  writer.add_tensor("small", DType::U8, std::vector<std::size_t>{3}, small);
  writer.add_tensor("empty", DType::F32, std::vector<std::size_t>{0, 5}, {});
  writer.add_tensor("large \"q\" \u00e9", DType::F64, std::vector<std::size_t>{2}, large);
  const auto bytes = writer.to_bytes();
  const File file = File::from_memory(bytes, "x");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_TRUE(std::ranges::equal(file.data(*file.find_tensor("small")), small));
  EXPECT_TRUE(std::ranges::equal(file.data(*file.find_tensor("large \"q\" \u00e9")), large));
  EXPECT_THAT(file.find_tensor("empty")->shape, ElementsAre(0, 5));
  EXPECT_EQ(writer.layout().file_bytes, bytes.size());
}

TEST(SafetensorsWriter, LayoutFollowsTheOrderOfTheCalls) {
  Writer writer;
  writer.declare_tensor("b", DType::U8, std::vector<std::size_t>{3});
  writer.declare_tensor("a", DType::F32, std::vector<std::size_t>{1});
  const Writer::Layout layout = writer.layout();
  EXPECT_THAT(layout.sizes, ElementsAre(3, 4));
  EXPECT_THAT(layout.offsets, ElementsAre(layout.header.size() + 4, layout.header.size()));
  EXPECT_THROW(writer.to_bytes(), RequestError);
}

TEST(SafetensorsWriter, WritesToAFile) {
  const std::string path = ::testing::TempDir() + "/writer_test.safetensors";
  Writer writer;
  const auto data = filled(4, 3);
  writer.add_tensor("a", DType::F32, {}, data);
  writer.write(path);
  EXPECT_TRUE(std::ranges::equal(File::open(path).data(File::open(path).tensors()[0]), data));
  std::filesystem::remove(path);
}

TEST(SafetensorsWriter, RefusesWhatAReaderWouldRefuse) {
  Writer writer;
  const auto data = filled(4, 0);
  const std::vector<std::size_t> shape{4};
  writer.add_tensor("a", DType::U8, shape, data);
  EXPECT_THROW(writer.add_tensor("a", DType::U8, shape, data), RequestError);
  EXPECT_THROW(writer.add_tensor("__metadata__", DType::U8, shape, data), RequestError);
  EXPECT_THROW(writer.add_tensor("\xff", DType::U8, shape, data), RequestError);
  EXPECT_THROW(writer.add_tensor("b", DType::F32, shape, data), RequestError);
  EXPECT_THROW(writer.declare_tensor("c", DType::F32, std::vector<std::size_t>{SIZE_MAX}),
               RequestError);
  writer.set_metadata("k", "v");
  EXPECT_THROW(writer.set_metadata("k", "v"), RequestError);
  EXPECT_THROW(writer.set_metadata("\xff", "v"), RequestError);
}

}  // namespace
}  // namespace foretoken::safetensors
