#include "hub/model_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "hub/fetch_model.h"

namespace foretoken::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RemoteFile file(const std::string& path) { return {path, 10, ""}; }

std::vector<std::string> paths(const ChosenFiles& chosen) {
  std::vector<std::string> out;
  for (const RemoteFile& f : chosen.model) out.push_back(f.path);
  return out;
}

const std::vector<RemoteFile> kFiles = {file("README.md"),
                                        file("imatrix.gguf"),
                                        file("m-BF16-00001-of-00002.gguf"),
                                        file("m-BF16-00002-of-00002.gguf"),
                                        file("m-IQ4_XS.gguf"),
                                        file("m-Q4_K_M.gguf"),
                                        file("m-Q4_K_M-mtp-only.gguf"),
                                        file("m-Q8_0.gguf"),
                                        file("mmproj-BF16.gguf"),
                                        file("mmproj-F16.gguf"),
                                        file("sub/m-Q6_K.gguf")};

TEST(ModelName, IsUserAndModelAndPerhapsAType) {
  const ModelName plain = parse_model_name("user/my-model_1.5");
  EXPECT_EQ(plain.repository, "user/my-model_1.5");
  EXPECT_EQ(plain.quant, "");
  EXPECT_EQ(parse_model_name("u/m:Q8_0").quant, "Q8_0");
}

TEST(ModelName, AnythingElseIsRefused) {
  for (const char* text : {"", "model", "/model", "user/", "a/b/c", "a/b:", "../b", "a/..", "a b/c",
                           "a/b?x", "a/b:Q/8", "-a/b"}) {
    EXPECT_THROW(parse_model_name(text), RequestError) << text;
  }
}

TEST(ModelName, TheUsualTypeIsTakenWhereNoneIsNamed) {
  EXPECT_THAT(paths(choose_files(kFiles, {"u/m", ""}, "")), ElementsAre("m-Q4_K_M.gguf"));
  const std::vector<RemoteFile> without = {file("a-Q2_K.gguf"), file("a-Q8_0.gguf")};
  EXPECT_THAT(paths(choose_files(without, {"u/m", ""}, "")), ElementsAre("a-Q8_0.gguf"));
  EXPECT_THAT(paths(choose_files({file("z.gguf")}, {"u/m", ""}, "")), ElementsAre("z.gguf"));
}

TEST(ModelName, ATypeIsFoundInAnySpellingAndFolderAndOnlyWhole) {
  EXPECT_THAT(paths(choose_files(kFiles, {"u/m", "q8_0"}, "")), ElementsAre("m-Q8_0.gguf"));
  EXPECT_THAT(paths(choose_files(kFiles, {"u/m", "Q6_K"}, "")), ElementsAre("sub/m-Q6_K.gguf"));
  EXPECT_THROW(choose_files(kFiles, {"u/m", "Q4_K"}, ""), RequestError);
}

TEST(ModelName, AllPartsOfASplitModelCome) {
  EXPECT_THAT(paths(choose_files(kFiles, {"u/m", "BF16"}, "")),
              ElementsAre("m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf"));
  EXPECT_THROW(choose_files({kFiles[2]}, {"u/m", "BF16"}, ""), RequestError);
}

TEST(ModelName, TheProjectorComesWithIt) {
  EXPECT_EQ(choose_files(kFiles, {"u/m", ""}, "").projector->path, "mmproj-F16.gguf");
  EXPECT_FALSE(choose_files({file("z.gguf")}, {"u/m", ""}, "").projector);
}

TEST(ModelName, ARefusalSaysWhatThereIs) {
  try {
    choose_files(kFiles, {"u/m", "Q5_K_M"}, "");
    FAIL();
  } catch (const RequestError& error) {
    EXPECT_THAT(error.what(), HasSubstr("m-Q8_0.gguf"));
    EXPECT_THAT(error.what(), HasSubstr("Q5_K_M"));
  }
  EXPECT_THROW(choose_files({}, {"u/m", ""}, ""), RequestError);
  EXPECT_THAT(paths(choose_files(kFiles, {"u/m", ""}, "imatrix.gguf")),
              ElementsAre("imatrix.gguf"));
}

TEST(FileList, ReadsNamesSizesAndHashes) {
  const auto files = parse_file_list(
      R"([{"type":"directory","path":"d"},
          {"type":"file","path":"b.gguf","size":5,"lfs":{"oid":"ab","size":5}},
          {"type":"file","path":"a.md","size":1}])",
      "list");
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].path, "a.md");
  EXPECT_EQ(files[1].sha256, "ab");
}

TEST(FileList, HostileOnesAreRefused) {
  for (const char* text :
       {"", "{}", "[{\"type\":\"file\"}]", R"([{"type":"file","path":"../x","size":1}])",
        R"([{"type":"file","path":"/etc/x","size":1}])",
        R"([{"type":"file","path":"a//b","size":1}])", R"([{"type":"file","path":"a","size":-1}])",
        R"([{"type":"file","path":"a\u001b[2J","size":1}])",
        R"([{"type":"file","path":"..\\a","size":1}])", R"([{"type":"file","path":7,"size":1}])"}) {
    EXPECT_THROW(parse_file_list(text, "list"), FormatError) << text;
  }
  EXPECT_EQ(parse_file_list("[1, null, []]", "list").size(), 0U);
}

}  // namespace
}  // namespace foretoken::hub
