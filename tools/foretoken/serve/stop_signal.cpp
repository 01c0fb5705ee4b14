#include "serve/stop_signal.h"

#include <pthread.h>

#include <csignal>
#include <ctime>

namespace foretoken::tools {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

StopSignal::StopSignal() {
  std::signal(SIGPIPE, SIG_IGN);  // a client that is gone is an error of its own write
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

bool StopSignal::wait(std::chrono::milliseconds patience) {
  const sigset_t set = stop_signals();
  timespec limit{};
  limit.tv_sec = static_cast<time_t>(patience.count() / 1000);
  limit.tv_nsec = static_cast<long>(patience.count() % 1000) * 1'000'000;
  if (sigtimedwait(&set, nullptr, &limit) <= 0) return false;
  // This thread takes the next one, with its usual effect.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  return true;
}

}  // namespace foretoken::tools
