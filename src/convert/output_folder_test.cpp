#include "convert/output_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace foretoken::convert {
namespace {

namespace fs = std::filesystem;

class OutputFolderTest : public ::testing::Test {
 protected:
  OutputFolderTest() {
    fs::remove_all(place_);
    fs::create_directories(place_);
  }
  ~OutputFolderTest() override { fs::remove_all(place_); }

  static void fill(const OutputFolder& folder) {
    std::ofstream(folder.path_of("a.txt")) << "a";
    std::ofstream(folder.path_of("inner/b.txt")) << "b";
  }

  fs::path place_ = fs::path(::testing::TempDir()) / ("output_folder_" + std::to_string(getpid()));
  std::string out_ = (place_ / "out").string();
};

TEST_F(OutputFolderTest, AppearsWhole) {
  OutputFolder folder(out_ + "/");
  fill(folder);
  EXPECT_FALSE(fs::exists(out_));
  folder.commit();
  EXPECT_TRUE(fs::exists(out_ + "/a.txt"));
  EXPECT_TRUE(fs::exists(out_ + "/inner/b.txt"));
  EXPECT_EQ(std::distance(fs::directory_iterator(place_), {}), 1);
}

TEST_F(OutputFolderTest, LeavesNothingWithoutCommit) {
  {
    const OutputFolder folder(out_);
    fill(folder);
  }
  EXPECT_TRUE(fs::is_empty(place_));
}

TEST_F(OutputFolderTest, RemovesWhatAKilledRunLeft) {
  fs::create_directories(place_ / ".out.foretoken-part/deep");
  std::ofstream(place_ / ".out.foretoken-part/deep/x") << "x";
  OutputFolder folder(out_);
  fill(folder);
  folder.commit();
  EXPECT_FALSE(fs::exists(out_ + "/deep"));
}

TEST_F(OutputFolderTest, OnlyOneMakesAFolderAtATime) {
  const OutputFolder folder(out_);
  fill(folder);
  EXPECT_THROW(OutputFolder(out_ + "/"), RequestError);
  EXPECT_TRUE(fs::exists(place_ / ".out.foretoken-part/a.txt"));
}

TEST_F(OutputFolderTest, RefusesToReplaceAnythingButAnEmptyFolder) {
  fs::create_directories(out_);
  {
    OutputFolder folder(out_);
    fill(folder);
    folder.commit();
  }
  EXPECT_THROW(OutputFolder{out_}, RequestError);
  EXPECT_THROW(OutputFolder(out_ + "/a.txt"), RequestError);
  fs::create_symlink("nowhere", place_ / "link");
  EXPECT_THROW(OutputFolder((place_ / "link").string()), RequestError);
}

}  // namespace
}  // namespace foretoken::convert
