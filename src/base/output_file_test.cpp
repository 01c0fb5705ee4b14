// Files that appear whole or not at all.
#include "base/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace foretoken {
namespace {

namespace fs = std::filesystem;

constexpr int kImpossibleHere = 77;

// From now on this process gets `error` from a system call, always or, with `flags`, when its third
// argument has all of them: what a file system or a container lacks. False where filters may not be
// set.
bool forbid(long call, int error, unsigned flags = 0) {
  constexpr auto kNumber = static_cast<unsigned>(offsetof(seccomp_data, nr));
  constexpr auto kThird = static_cast<unsigned>(offsetof(seccomp_data, args) + 16);
  std::array<sock_filter, 7> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumber),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kThird),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, flags),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, flags, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  sock_fprog filter{program.size(), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// The number that `body` returns in a process of its own; -1 when it throws or dies.
template <class Body>
int in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      ::_exit(body());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(255);
    }
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

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

TEST_F(OutputFiles, NeverTakeThePlaceOfAFolderOrADevice) {
  fs::create_directory(at("folder"));
  fs::create_symlink("/dev/null", at("null"));
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  for (const char* name : {"folder", "null", "pipe"}) {
    EXPECT_THROW(OutputFile(at(name).string()), IoError) << name;
    EXPECT_THROW(OutputFile(at(name).string(), at("part").string()), IoError) << name;
  }
  EXPECT_EQ(n_files(), 3);
  EXPECT_TRUE(fs::is_symlink(at("null")));
}

// A process killed between the two steps of commit() leaves such a file, and in the next container
// a process may have its number again.
TEST_F(OutputFiles, PassOverNamesThatAreTaken) {
  for (int i = 0; i < 200; ++i) {
    std::ofstream(at("a").string() + ".part-" + std::to_string(::getpid()) + "-" +
                  std::to_string(i))
        << "taken";
  }
  OutputFile file(at("a"));
  file.write(bytes("new"));
  file.commit();
  EXPECT_EQ(content(at("a")), "new");
  EXPECT_EQ(n_files(), 201);
}

// The mask can only be asked for by changing it, and it is that of all threads: one of them could
// make a file for everybody meanwhile.
TEST_F(OutputFiles, LeaveTheProcessesMaskAlone) {
  const int result = in_child([this] {
    ::umask(027);
    if (!forbid(SYS_umask, EPERM)) return kImpossibleHere;
    OutputFile(at("a")).commit();
    return 0;
  });
  if (result == kImpossibleHere) GTEST_SKIP() << "system calls cannot be forbidden here";
  EXPECT_EQ(result, 0);
  EXPECT_EQ(fs::status(at("a")).permissions(), fs::perms{0640});
}

TEST_F(OutputFiles, CanBeGoneOnWithWhereNoRoomCanBeSetAside) {
  const int result = in_child([this] {
    if (!forbid(SYS_fallocate, EOPNOTSUPP)) return kImpossibleHere;
    for (int i = 0; i < 2; ++i) OutputFile(at("a"), at("a.part")).reserve(100000);
    return 0;
  });
  if (result == kImpossibleHere) GTEST_SKIP() << "system calls cannot be forbidden here";
  EXPECT_EQ(result, 0);
  EXPECT_EQ(fs::file_size(at("a.part")), 100000U);
}

TEST_F(OutputFiles, CopyWhereTheKernelMayNot) {
  std::ofstream(at("source")) << "0123456789";
  const int result = in_child([this] {
    if (!forbid(SYS_copy_file_range, EPERM)) return kImpossibleHere;
    const int fd = ::open(at("source").c_str(), O_RDONLY);
    OutputFile file(at("a"));
    file.copy_at(0, fd, 2, 5, at("source"));
    file.commit();
    return 0;
  });
  if (result == kImpossibleHere) GTEST_SKIP() << "system calls cannot be forbidden here";
  EXPECT_EQ(result, 0);
  EXPECT_EQ(content(at("a")), "23456");
}

TEST_F(OutputFiles, HaveANameWhereThereAreNoUnnamedFiles) {
  const int result = in_child([this] {
    if (!forbid(SYS_openat, EOPNOTSUPP, O_TMPFILE)) return kImpossibleHere;
    ::umask(027);
    { OutputFile(at("dropped")).write(bytes("half")); }
    OutputFile file(at("a"));
    file.write(bytes("whole"));
    if (n_files() != 1 || fs::exists(at("a"))) return 1;
    file.commit();
    return 0;
  });
  if (result == kImpossibleHere) GTEST_SKIP() << "system calls cannot be forbidden here";
  EXPECT_EQ(result, 0);
  EXPECT_EQ(content(at("a")), "whole");
  EXPECT_EQ(fs::status(at("a")).permissions(), fs::perms{0640});
  EXPECT_EQ(n_files(), 1);
}

TEST_F(OutputFiles, OfTheOwnerOnlyStaySoWhateverWasThere) {
  std::ofstream(at("a")) << "open to everybody";
  OutputFile file(at("a"), FileAccess::OwnerOnly);
  file.write(bytes("private"));
  file.commit();
  EXPECT_EQ(content(at("a")), "private");
  EXPECT_EQ(fs::status(at("a")).permissions(), fs::perms{0600});
}

TEST_F(OutputFiles, OfTheOwnerOnlyAreSoWhereThereAreNoUnnamedFiles) {
  const int result = in_child([this] {
    if (!forbid(SYS_openat, EOPNOTSUPP, O_TMPFILE)) return kImpossibleHere;
    OutputFile file(at("a"), FileAccess::OwnerOnly);
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.status().permissions() != fs::perms{0600}) return 1;
    }
    file.commit();
    return 0;
  });
  if (result == kImpossibleHere) GTEST_SKIP() << "system calls cannot be forbidden here";
  EXPECT_EQ(result, 0);
  EXPECT_EQ(fs::status(at("a")).permissions(), fs::perms{0600});
}

TEST_F(OutputFiles, AppearWithoutProcToo) {
  const int result = in_child([this] {
    if (::chroot(folder_.c_str()) != 0 &&
        (::unshare(CLONE_NEWUSER) != 0 || ::chroot(folder_.c_str()) != 0)) {
      return kImpossibleHere;
    }
    OutputFile file("/a");
    file.write(bytes("whole"));
    file.commit();
    return 0;
  });
  if (result == kImpossibleHere) GTEST_SKIP() << "this user may not change the root folder";
  EXPECT_EQ(result, 0);
  EXPECT_EQ(content(at("a")), "whole");
  EXPECT_EQ(n_files(), 1);
}

}  // namespace
}  // namespace foretoken
