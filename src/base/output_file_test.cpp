// Files that appear whole or not at all.
#include "base/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace foretoken {
namespace {

namespace fs = std::filesystem;

class OutputFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "output-file-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path at(const char* name) const { return folder_ / name; }
  std::ptrdiff_t n_files() const { return std::distance(fs::directory_iterator(folder_), {}); }
  static std::string content(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
  }

  fs::path folder_;
};

TEST_F(OutputFiles, AppearOnlyWhenCommitted) {
  OutputFile file(at("a"));
  file.write(bytes("one "));
  file.write(bytes("two"));
  EXPECT_FALSE(fs::exists(at("a")));
  file.commit();
  EXPECT_EQ(content(at("a")), "one two");
  EXPECT_EQ(n_files(), 1);
}

TEST_F(OutputFiles, LeaveNothingWhenDropped) {
  { OutputFile(at("a")).write(bytes("half")); }
  EXPECT_EQ(n_files(), 0);
}

TEST_F(OutputFiles, KeepTheOldFileUntilTheNewOneIsWhole) {
  std::ofstream(at("a")) << "old";
  {
    OutputFile file(at("a"));
    file.write(bytes("half"));
  }
  EXPECT_EQ(content(at("a")), "old");
  OutputFile file(at("a"));
  file.write(bytes("new"));
  file.commit();
  EXPECT_EQ(content(at("a")), "new");
  EXPECT_EQ(n_files(), 1);
}

TEST_F(OutputFiles, LeaveNothingWhenTheProcessIsKilled) {
  const pid_t child = ::fork();
  if (child == 0) {
    OutputFile file(at("a"));
    file.write(bytes("half"));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(n_files(), 0);
}

TEST_F(OutputFiles, CanBeGoneOnWith) {
  {
    OutputFile file(at("a"), at("a.part"));
    file.write_at(0, bytes("first "));
  }
  EXPECT_TRUE(fs::exists(at("a.part")));
  OutputFile file(at("a"), at("a.part"));
  file.write_at(6, bytes("second"));
  EXPECT_FALSE(fs::exists(at("a")));
  file.commit();
  EXPECT_EQ(content(at("a")), "first second");
  EXPECT_EQ(n_files(), 1);
}

TEST_F(OutputFiles, TakePiecesFromSeveralThreads) {
  constexpr std::size_t kPieces = 64;
  const std::string piece(1000, 'x');
  OutputFile file(at("a"));
  file.reserve(kPieces * piece.size() + 5);
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = t; i < kPieces; i += 4) file.write_at(i * piece.size(), bytes(piece));
    });
  }
  threads.clear();
  file.commit();
  EXPECT_EQ(content(at("a")), std::string(kPieces * piece.size(), 'x') + std::string(5, '\0'));
}

TEST_F(OutputFiles, CopyRangesOfOtherFiles) {
  std::string source(100000, '\0');
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<char>('a' + i % 23);
  std::ofstream(at("source"), std::ios::binary) << source;
  const int fd = ::open(at("source").c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  OutputFile file(at("a"));
  file.reserve(10 + 70001);
  file.copy_at(10, fd, 777, 70001, at("source"));
  // Past its end there is nothing to copy; the sentence names the file.
  try {
    file.copy_at(10, fd, 99990, 11, at("source"));
    ADD_FAILURE() << "a copy beyond the end succeeded";
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find(at("source").string()), std::string::npos);
  }
  file.copy_at(10, fd, 777, 70001, at("source"));
  ::close(fd);
  file.commit();
  EXPECT_EQ(content(at("a")), std::string(10, '\0') + source.substr(777, 70001));
}

// A limit on file sizes stands in for a full disk: the system refuses both in the same place.
TEST_F(OutputFiles, SayWhenThereIsNoRoomAndLeaveNothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10000, 10000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int caught = 0;
    try {
      OutputFile(at("a")).reserve(20000);
    } catch (const IoError& error) {
      caught += std::string(error.what()).find(at("a").string()) != std::string::npos;
    }
    try {
      OutputFile(at("a")).write(std::vector<std::byte>(20000));
    } catch (const IoError&) {
      ++caught;
    }
    ::_exit(caught);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_EQ(n_files(), 0);
}

}  // namespace
}  // namespace foretoken
