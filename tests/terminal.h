// Runs the built program on a pseudo-terminal, for tests of what users see when they sit at one.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace foretoken::tests {

/// A program that believes a person is typing. Ends the program when it goes.
class TerminalProgram {
 public:
  explicit TerminalProgram(const std::vector<std::string>& arguments) {
    ::winsize size = {};
    size.ws_row = 40;
    size.ws_col = 120;
    child_ = ::forkpty(&master_, nullptr, nullptr, &size);
    // Never on with a child of -1: kill(-1) would end every process of the machine.
    if (child_ < 0) {
      throw std::system_error(errno, std::generic_category(),
                              "no terminal for the test (is /dev/pts mounted?)");
    }
    if (child_ != 0) return;
    ::setenv("TERM", "xterm-256color", 1);
    ::setenv("LC_ALL", "C.UTF-8", 1);
    ::unsetenv("NO_COLOR");
    std::vector<std::string> words = {FORETOKEN_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  TerminalProgram(const TerminalProgram&) = delete;
  TerminalProgram& operator=(const TerminalProgram&) = delete;
  ~TerminalProgram() {
    if (!ended_) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    ::close(master_);
  }

  void type(std::string_view keys) const {
    while (!keys.empty()) {
      const ::ssize_t n = ::write(master_, keys.data(), keys.size());
      if (n <= 0) return;
      keys.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  /// Waits until `text` appears behind what was waited for before; false when it does not come.
  [[nodiscard]] bool wait_for(std::string_view text) {
    return read_until([&] {
      const std::size_t at = screen_.find(text, seen_);
      if (at != std::string::npos) seen_ = at + text.size();
      return at != std::string::npos;
    });
  }

  /// Exit status once the program ends by itself (128 + signal where one ended it); -1: it does
  /// not.
  int wait_for_end() {
    read_until([] { return false; });  // until the terminal closes
    for (int i = 0; i < 200 && !ended_; ++i) {
      int status = 0;
      if (::waitpid(child_, &status, WNOHANG) == child_) {
        ended_ = true;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      ::usleep(10'000);
    }
    return -1;
  }

  /// Everything the program wrote, control sequences included.
  const std::string& screen() const { return screen_; }

 private:
  template <class Done>
  bool read_until(const Done& done) {
    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + std::chrono::seconds(60);
    while (!done()) {
      ::pollfd wait = {master_, POLLIN, 0};
      if (Clock::now() > deadline || ::poll(&wait, 1, 1000) < 0) return false;
      if (wait.revents == 0) continue;
      char buffer[4096];
      const ::ssize_t n = ::read(master_, buffer, sizeof(buffer));
      if (n <= 0) return done();  // closed
      screen_.append(buffer, static_cast<std::size_t>(n));
    }
    return true;
  }

  int master_ = -1;
  ::pid_t child_ = -1;
  bool ended_ = false;
  std::string screen_;
  std::size_t seen_ = 0;
};

}  // namespace foretoken::tests
