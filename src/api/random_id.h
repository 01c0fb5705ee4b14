// Names for answers and tool calls, as clients expect them: 32 letters and digits.
#pragma once

#include <string>

namespace foretoken::api {

/// 32 characters out of 62, 190 bits: never the same twice. Thread safe.
std::string random_id();

}  // namespace foretoken::api
