// Where a library's remarks go. Libraries never print: whoever owns them passes a sink, and an
// empty one means silence.
#pragma once

#include <functional>
#include <string_view>

namespace foretoken {

enum class LogLevel { Debug, Info, Warning, Error };

/// One line without its end. Called from any thread.
using LogSink = std::function<void(LogLevel, std::string_view)>;

}  // namespace foretoken
