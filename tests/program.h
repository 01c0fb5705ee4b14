// Runs the built program the way a shell does, for tests of what users see.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace foretoken::tests {

struct Outcome {
  int status = -1;  ///< exit status; 128 + signal where one ended it
  std::string out;
  std::string err;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

/// Runs `foretoken arguments...` with `input` on standard input, which is a file, not a terminal.
/// Standard output goes to `out_path` where that is given.
inline Outcome run_program(const std::vector<std::string>& arguments, const std::string& input = "",
                           const std::string& out_path = "") {
  std::string folder = testing::TempDir() + "foretoken-cli-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  const std::filesystem::path base(folder);
  std::ofstream(base / "in", std::ios::binary) << input;

  const ::pid_t child = ::fork();
  if (child == 0) {
    const auto redirect = [](const std::filesystem::path& path, int flags, int target) {
      const int fd = ::open(path.c_str(), flags, 0600);
      if (fd < 0 || ::dup2(fd, target) < 0) ::_exit(126);
    };
    redirect(base / "in", O_RDONLY, STDIN_FILENO);
    redirect(out_path.empty() ? base / "out" : std::filesystem::path(out_path), O_CREAT | O_WRONLY,
             STDOUT_FILENO);
    redirect(base / "err", O_CREAT | O_WRONLY, STDERR_FILENO);
    std::vector<std::string> words = {FORETOKEN_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  Outcome outcome;
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = read_file(base / "out");
  outcome.err = read_file(base / "err");
  std::filesystem::remove_all(base);
  return outcome;
}

}  // namespace foretoken::tests
