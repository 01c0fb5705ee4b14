// `foretoken eval`: numbers for comparing engines and files.
#pragma once

#include "command.h"

namespace foretoken::tools {

Run add_eval(CLI::App& app);

}  // namespace foretoken::tools
