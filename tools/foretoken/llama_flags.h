// llama.cpp spells some options with one dash and several letters (-ngl, -ctk), and allows
// underscores for dashes. CLI11 knows neither, so the command line is rewritten before parsing.
#pragma once

#include <string>
#include <vector>

namespace foretoken::tools {

/// The arguments after the program's name, with every llama.cpp short spelling replaced by its long
/// one. Values are left alone.
std::vector<std::string> normalise_flags(int argc, char** argv);

}  // namespace foretoken::tools
