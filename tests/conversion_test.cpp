// `foretoken convert` against the files that llama.cpp's own converter made of the same
// checkpoints, where they are beside this checkout; and what the command says and returns.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "gguf/file.h"
#include "program.h"
#include "toolchain.h"

namespace foretoken::tests {
namespace {

using ::testing::HasSubstr;

/// A file or folder of the trained checkpoints; "" where this checkout does not have them.
std::string beside(const std::string& name) {
  const std::string path = std::string(FORETOKEN_SOURCE_DIR) + "/../shared/tiny-model/" + name;
  return std::filesystem::exists(path) ? path : "";
}

struct Pair {
  const char* folder;
  Words options;
  const char* expected;
};

class Conversion : public ::testing::TestWithParam<Pair> {};

TEST_P(Conversion, EqualsLlamaCppsFileByteForByte) {
  const Pair& pair = GetParam();
  const std::string folder = beside(pair.folder);
  const std::string expected = beside(std::string("gguf/") + pair.expected);
  if (folder.empty() || expected.empty()) {
    GTEST_SKIP() << "llama.cpp's files are not beside this checkout";
  }
  const ScratchFolder scratch;
  const std::string out = scratch / "out.gguf";
  Words words{"convert", folder, "--outfile", out};
  words.insert(words.end(), pair.options.begin(), pair.options.end());
  const auto result = run_program(words);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(read_file(out) == read_file(expected)) << pair.expected;
}

INSTANTIATE_TEST_SUITE_P(
    TinyModel, Conversion,
    ::testing::Values(Pair{"base", {}, "base-BF16.gguf"},
                      Pair{"finetune", {"--no-mtp"}, "finetune-noMTP-BF16.gguf"},
                      Pair{"base", {"--mmproj", "--outtype", "f32"}, "base-mmproj-F32.gguf"}));

class ConvertCommand : public ::testing::Test {
 protected:
  ConvertCommand() { make_tiny_checkpoint(folder_); }

  ScratchFolder scratch_;
  std::string folder_ = scratch_ / "Tiny-7M-Chat";
};

TEST_F(ConvertCommand, NamesFilesByConvention) {
  const auto text = run_program({"convert", folder_, "--json", "--dry-run"});
  ASSERT_EQ(text.status, 0) << text.err;
  const auto json = nlohmann::json::parse(text.out);
  EXPECT_THAT(json["files"][0]["path"].get<std::string>(), HasSubstr("/Tiny-7M-Chat-BF16.gguf"));
  EXPECT_EQ(json["mtp_layers"], 1);
  EXPECT_FALSE(std::filesystem::exists(json["files"][0]["path"].get<std::string>()));
  const auto name_with = [&](const Words& options) {
    Words words{"convert", folder_, "--json", "--dry-run", "--outtype", "f16"};
    words.insert(words.end(), options.begin(), options.end());
    const auto result = run_program(words);
    EXPECT_EQ(result.status, 0) << result.err;
    const auto path = nlohmann::json::parse(result.out)["files"][0]["path"].get<std::string>();
    return std::filesystem::path(path).filename().string();
  };
  // Files of a part are too small for the name's 7M to be a size; llama.cpp then takes it for a
  // context length, in lower case.
  EXPECT_EQ(name_with({"--mtp"}), "mtp-Tiny-7m-Chat-F16.gguf");
  EXPECT_EQ(name_with({"--mmproj"}), "mmproj-Tiny-7m-Chat-F16.gguf");
  EXPECT_EQ(name_with({"--vocab-only"}), "Tiny-Chat-vocab.gguf");
  EXPECT_EQ(name_with({"--outfile", scratch_ / "x-{ftype}-{FTYPE}.gguf"}), "x-f16-F16.gguf");
}

TEST_F(ConvertCommand, WritesTheFilesThatItSays) {
  const auto result = run_program({"convert", folder_, "--outfile", scratch_ / "part.gguf",
                                   "--split-max-size", "2M", "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_GT(json["files"].size(), 2U);
  std::size_t n_tensors = 0;
  for (const auto& file : json["files"]) {
    const auto path = file["path"].get<std::string>();
    EXPECT_EQ(std::filesystem::file_size(path), file["bytes"].get<std::size_t>()) << path;
    n_tensors += file["tensors"].size();
  }
  const auto model = gguf::File::open(json["files"][0]["path"].get<std::string>());
  EXPECT_EQ(model.tensors().size(), n_tensors);
}

TEST_F(ConvertCommand, WrongCommandLinesHaveStatus2) {
  for (const Words& options :
       {Words{"--mtp", "--no-mtp"}, Words{"--mmproj", "--mtp"}, Words{"--outtype", "q4_0"},
        Words{"--split-max-size", "2T"}, Words{"--split-max-size", "99999999999999G"},
        Words{"--threads", "-1"}, Words{"--no-such-flag"}}) {
    Words words{"convert", folder_};
    words.insert(words.end(), options.begin(), options.end());
    EXPECT_EQ(run_program(words).status, 2) << options.front();
  }
  EXPECT_EQ(run_program({"convert"}).status, 2);
}

TEST_F(ConvertCommand, AMissingFolderIsStatus1AndOneSentence) {
  const auto result = run_program({"convert", scratch_ / "nowhere"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("nowhere"));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
}

}  // namespace
}  // namespace foretoken::tests
