#include "base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/output_file.h"

namespace foretoken {
namespace {

using ::testing::HasSubstr;

class MappedFileTest : public ::testing::Test {
 protected:
  MappedFileTest() : path_(::testing::TempDir() + "foretoken-map-" + std::to_string(::getpid())) {}
  ~MappedFileTest() override { std::filesystem::remove(path_); }
  void write(const std::vector<std::byte>& bytes) const {
    OutputFile file(path_);
    file.write(bytes);
    file.commit();
  }
  std::string error_of(const std::string& path) const {
    try {
      const MappedFile file(path);
    } catch (const IoError& error) {
      return error.what();
    }
    return "no error";
  }
  std::string path_;
};

TEST_F(MappedFileTest, ShowsTheBytesAndSurvivesDroppedPages) {
  std::vector<std::byte> bytes(50000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i % 251);
  write(bytes);
  MappedFile file(path_);
  EXPECT_TRUE(std::ranges::equal(file.bytes(), bytes));
  for (const std::size_t offset : {0UL, 1UL, 4096UL, 49999UL, 50000UL, ~0UL}) {
    for (const std::size_t size : {0UL, 1UL, 5000UL, ~0UL}) {
      file.drop_pages(offset, size);
      file.advise(offset, size, MappedFile::Access::WillNeed);
      file.advise(offset, size, MappedFile::Access::Sequential);
    }
  }
  EXPECT_TRUE(std::ranges::equal(file.bytes(), bytes));
  const MappedFile moved = std::move(file);
  EXPECT_TRUE(std::ranges::equal(moved.bytes(), bytes));
}

TEST_F(MappedFileTest, EmptyFileIsEmpty) {
  write({});
  EXPECT_TRUE(MappedFile(path_).bytes().empty());
}

TEST_F(MappedFileTest, ReasonsAreTheSystems) {
  EXPECT_THAT(error_of("/nonexistent/x"), HasSubstr("/nonexistent/x: cannot open: No such file"));
  EXPECT_THAT(error_of("/"), HasSubstr("Is a directory"));
  EXPECT_THAT(error_of("/dev/null"), HasSubstr("not a regular file"));
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(error_of(path_), HasSubstr("not a regular file"));  // and does not wait for a writer
}

}  // namespace
}  // namespace foretoken
