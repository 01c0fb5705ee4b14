// A wrong command line of `serve`, said as llama-server says it, because wrappers look for it.
#pragma once

#include <CLI/CLI.hpp>

namespace foretoken::tools {

/// Prints help or version where that was asked for (0), otherwise one line on standard error,
/// "error: invalid argument: X" for an unknown one, and returns 1.
int explain_serve_error(const CLI::App& app, const CLI::App& serve, const CLI::ParseError& error);

}  // namespace foretoken::tools
