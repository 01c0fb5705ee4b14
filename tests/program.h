// Runs the built program the way a shell does, for tests of what users see.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
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

struct StartOptions {
  std::string input = {};     ///< on standard input, which is a file, not a terminal
  std::string out_path = {};  ///< where standard output goes; empty: into the outcome
  /// Most bytes a file may have; a write beyond that fails as on a full disk. 0: any.
  ::rlim_t max_file_bytes = 0;
};

/// `foretoken arguments...`, running. Destroyed before wait() it is killed.
class RunningProgram {
 public:
  explicit RunningProgram(const std::vector<std::string>& arguments,
                          const StartOptions& options = {})
      : folder_(::testing::TempDir() + "foretoken-cli-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    std::ofstream(path("in"), std::ios::binary) << options.input;
    child_ = ::fork();
    if (child_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (child_ == 0) exec(arguments, options);
  }
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;
  ~RunningProgram() {
    if (child_ > 0) {
      send(SIGKILL);
      wait();
    }
    std::filesystem::remove_all(folder_);
  }

  void send(int signal) const {
    if (child_ > 0) ::kill(child_, signal);  // kill(-1) would end every process of the machine
  }

  Outcome wait() {
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = -1;
    return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            .out = read_file(path("out")),
            .err = read_file(path("err"))};
  }

 private:
  std::filesystem::path path(const char* name) const {
    return std::filesystem::path(folder_) / name;
  }

  [[noreturn]] void exec(const std::vector<std::string>& arguments,
                         const StartOptions& options) const {
    const auto redirect = [](const std::filesystem::path& target, int flags, int stream) {
      const int fd = ::open(target.c_str(), flags, 0600);
      if (fd < 0 || ::dup2(fd, stream) < 0) ::_exit(126);
    };
    redirect(path("in"), O_RDONLY, STDIN_FILENO);
    redirect(options.out_path.empty() ? path("out") : std::filesystem::path(options.out_path),
             O_CREAT | O_WRONLY, STDOUT_FILENO);
    redirect(path("err"), O_CREAT | O_WRONLY, STDERR_FILENO);
    if (options.max_file_bytes > 0) {
      const ::rlimit limit = {options.max_file_bytes, options.max_file_bytes};
      ::signal(SIGXFSZ, SIG_IGN);  // the write is to fail, not the process
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(126);
    }
    std::vector<std::string> words = {FORETOKEN_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }

  std::string folder_;
  ::pid_t child_ = -1;
};

/// Runs `foretoken arguments...` to its end, with `input` on standard input. Standard output goes
/// to `out_path` where that is given.
inline Outcome run_program(const std::vector<std::string>& arguments, const std::string& input = "",
                           const std::string& out_path = "") {
  return RunningProgram(arguments, {.input = input, .out_path = out_path}).wait();
}

}  // namespace foretoken::tests
