// SIGINT and SIGTERM for a program that has to end in order: they are blocked in every thread and
// taken here, one at a time. After the first, the second ends the program as it always would.
#pragma once

#include <chrono>

namespace foretoken::tools {

/// To be made before any thread is started.
class StopSignal {
 public:
  StopSignal();

  /// Waits up to `patience`; true when the program was asked to end, now or before.
  bool wait(std::chrono::milliseconds patience);
};

}  // namespace foretoken::tools
