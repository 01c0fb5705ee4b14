// POSIX sigaction(2). The handler does only what signal-safety(7) allows.
#include "interrupt.h"

#include <atomic>

namespace foretoken::tools {
namespace {

// A signal handler has no other way to tell the program something.
std::atomic<bool> interrupt_seen = false;  // NOLINT(*-avoid-non-const-global-variables)
static_assert(std::atomic<bool>::is_always_lock_free, "used in a signal handler");

void on_interrupt(int signal) {
  if (!interrupt_seen.exchange(true)) return;
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

}  // namespace

InterruptScope::InterruptScope() {
  interrupt_seen = false;
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // a write in progress is finished
  ::sigaction(SIGINT, &action, &previous_);
}

InterruptScope::~InterruptScope() { ::sigaction(SIGINT, &previous_, nullptr); }

bool InterruptScope::interrupted() const { return interrupt_seen; }

}  // namespace foretoken::tools
