// Switches as llama-server has them: --x and --no-x, each optional, with an environment variable
// LLAMA_ARG_X (true, 1, on, enabled / false, 0, off, disabled) and its negative LLAMA_ARG_NO_X.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace foretoken::tools {

/// Declares `flags` ("--slots,!--no-slots": a leading "!" marks the spelling that switches off) for
/// `value`, whose present content is the default. The environment is read here; the command line
/// overrides it. `environment` may be empty. A value that means neither is as good as none.
CLI::Option* add_switch(CLI::App& group, const std::string& flags, bool& value,
                        const std::string& help, const std::string& environment = {});

}  // namespace foretoken::tools
