// The server's log on standard error, and to a file where one is asked for.
#pragma once

#include "base/log.h"
#include "serve/options.h"

namespace foretoken::tools {

/// A sink for everything the server says; thread safe, copies share one log. Throws IoError when
/// the file cannot be written.
LogSink make_log(const ServeLogOptions& options);

}  // namespace foretoken::tools
