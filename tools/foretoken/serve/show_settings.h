// What the command line and the environment came to, as JSON: for people who wonder, and for tests
// of every flag.
#pragma once

#include <string>

#include "serve/options.h"

namespace foretoken::tools {

/// Pretty-printed. Keys of clients are counted, not shown.
std::string show_settings(const ServeOptions& options);

}  // namespace foretoken::tools
