#include "safetensors/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "safetensors/writer.h"

namespace foretoken::safetensors {
namespace {

using ::testing::HasSubstr;

/// An empty folder that goes away with the test.
class CheckpointFolder : public ::testing::Test {
 protected:
  CheckpointFolder() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(::testing::TempDir()) /
              (std::string(test->test_suite_name()) + "." + test->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~CheckpointFolder() override { std::filesystem::remove_all(folder_); }

  void write_file(const std::string& name, const std::vector<std::string>& tensors) {
    Writer writer;
    const std::vector<std::byte> data(4);
    for (const std::string& tensor : tensors) writer.add_tensor(tensor, DType::F32, {}, data);
    writer.write((folder_ / name).string());
  }
  void write_index(const std::string& text) {
    std::ofstream(folder_ / "model.safetensors.index.json", std::ios::binary) << text;
  }
  /// "" when the folder opens, else the error's text.
  std::string error() {
    try {
      Checkpoint::open(folder_.string());
      return "";
    } catch (const Error& found) {
      return found.what();
    }
  }

  std::filesystem::path folder_;
};

using SafetensorsCheckpoint = CheckpointFolder;

TEST_F(SafetensorsCheckpoint, ListsTensorsFileByFileAndByName) {
  write_file("model-2.safetensors", {"c", "a"});
  write_file("model-1.safetensors", {"d", "b"});
  write_file("other.safetensors", {"x"});
  const Checkpoint checkpoint = Checkpoint::open(folder_.string());
  EXPECT_FALSE(checkpoint.has_index());
  ASSERT_EQ(checkpoint.files().size(), 2u);
  std::string names;
  for (const TensorRef& tensor : checkpoint.tensors()) names += tensor.name();
  EXPECT_EQ(names, "bdac");
  ASSERT_NE(checkpoint.find_tensor("c"), nullptr);
  EXPECT_EQ(checkpoint.find_tensor("c")->file, 1);
  EXPECT_EQ(checkpoint.data(*checkpoint.find_tensor("c")).size(), 4u);
  EXPECT_EQ(checkpoint.find_tensor("x"), nullptr);
}

TEST_F(SafetensorsCheckpoint, TakesTheFilesThatTheIndexNames) {
  write_file("w-1.safetensors", {"a"});
  write_file("w-2.safetensors", {"b"});
  write_file("model-9.safetensors", {"x"});
  write_index(R"({"metadata":{"total_size":8},
      "weight_map":{"a":"w-1.safetensors","b":"w-2.safetensors"}})");
  const Checkpoint checkpoint = Checkpoint::open(folder_.string());
  EXPECT_TRUE(checkpoint.has_index());
  EXPECT_EQ(checkpoint.tensors().size(), 2u);
  EXPECT_EQ(checkpoint.find_tensor("x"), nullptr);
}

TEST_F(SafetensorsCheckpoint, RejectsIndicesThatDoNotDescribeTheFiles) {
  write_file("w.safetensors", {"a", "b"});
  write_file("v.safetensors", {"c"});
  write_index(R"({"weight_map":{"a":"w.safetensors"}})");
  EXPECT_THAT(error(), HasSubstr("tensor 'b' is here"));
  write_index(R"({"weight_map":{"a":"w.safetensors","b":"w.safetensors","d":"w.safetensors"}})");
  EXPECT_THAT(error(), HasSubstr("tensor 'd' is missing"));
  write_index(R"({"weight_map":{"a":"w.safetensors","b":"v.safetensors","c":"v.safetensors"}})");
  EXPECT_THAT(error(), HasSubstr("says it is in 'v.safetensors'"));
  write_index(R"({"weight_map":{"a":"w.safetensors","b":"u.safetensors"}})");
  EXPECT_THAT(error(), HasSubstr("fetch this file too"));
}

TEST_F(SafetensorsCheckpoint, RejectsTensorsInTwoFiles) {
  write_file("model-1.safetensors", {"a"});
  write_file("model-2.safetensors", {"a"});
  EXPECT_THAT(error(), HasSubstr("is also in"));
}

TEST_F(SafetensorsCheckpoint, SaysWhatAFolderWithoutWeightsLacks) {
  EXPECT_THAT(error(), HasSubstr("no model*.safetensors"));
  std::ofstream(folder_ / "pytorch_model.bin") << "x";
  EXPECT_THAT(error(), HasSubstr("save it again as safetensors"));
  EXPECT_THROW(Checkpoint::open((folder_ / "no").string()), IoError);
  EXPECT_THROW(Checkpoint::open((folder_ / "pytorch_model.bin").string()), IoError);
}

TEST_F(SafetensorsCheckpoint, DoesNotSpeakOfAnIndexThatIsNotThere) {
  std::filesystem::create_symlink("no-such-blob", folder_ / "model.safetensors");
  EXPECT_THAT(error(), HasSubstr("model.safetensors: cannot open"));
}

TEST_F(SafetensorsCheckpoint, RejectsFileNamesThatLeaveTheFolder) {
  for (const std::string name :
       {"../w.safetensors", "/w", "a/b", "a\\\\b", "..", "", ".", "a\\u0000b"}) {
    write_index(R"({"weight_map":{"a":")" + name + R"("}})");
    EXPECT_THAT(error(), HasSubstr("plain name")) << name;
  }
}

TEST_F(SafetensorsCheckpoint, RejectsIndicesThatAreNotStrictJson) {
  std::string deep = "{\"metadata\":";
  for (int i = 0; i < 100'000; ++i) deep += "[";
  for (const std::string& text :
       {std::string(""), std::string("[]"), std::string("{}"), std::string("5"),
        std::string(R"({"weight_map":{}})"), std::string(R"({"weight_map":[]})"),
        std::string(R"({"weight_map":5})"), std::string(R"({"weight_map":{"a":5}})"),
        std::string(R"({"weight_map":{"a":["w"]}})"), std::string(R"({"weight_map":{"a":{}}})"),
        std::string(R"({"weight_map":{"a":"w","a":"w"}})"),
        std::string(R"({"weight_map":{"a":"w"},"weight_map":{"a":"w"}})"),
        std::string(R"({"weight_map":{"a":"w"}} x)"), std::string(R"({"weight_map":{"a":"w")"),
        std::string("{\"weight_map\":{\"a\":\"w\"}}\0x", 26), deep}) {
    write_index(text);
    EXPECT_NE(error(), "") << text.substr(0, 80);
  }
}

}  // namespace
}  // namespace foretoken::safetensors
