// Token ids as people type them: a JSON list, or numbers separated by commas or white space.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"

namespace foretoken::tools {

/// Throws RequestError naming the first thing that is not a token id. `what` names the source.
std::vector<TokenId> parse_token_list(std::string_view text, std::string_view what);

/// A whole file, or standard input for "-". Throws IoError.
std::string read_text_file(const std::string& path);

}  // namespace foretoken::tools
