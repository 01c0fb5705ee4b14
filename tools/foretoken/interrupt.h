// Ctrl-C while the program works: the first one asks it to stop, the second one ends it.
#pragma once

#include <csignal>

namespace foretoken::tools {

/// While one lives, SIGINT only sets a flag that the work looks at between tokens and batches; a
/// second SIGINT before that ends the program as usual. One at a time.
class InterruptScope {
 public:
  InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  ~InterruptScope();  ///< SIGINT does again what it did before

  bool interrupted() const;

 private:
  struct sigaction previous_ = {};
};

}  // namespace foretoken::tools
