// The prompt of /infill: the text around a gap, with files for context, in the order that the
// family's fill-in-the-middle tokens were trained in.
// Source: Hui et al., "Qwen2.5-Coder Technical Report" (2024), section 3.1, file-level and
// repository-level formats.
#pragma once

#include <vector>

#include "api/context.h"

namespace foretoken::api {

/// Token ids of
///   <|repo_name|>myproject, then <|file_sep|>NAME, newline, TEXT per entry of input_extra, then
///   <|file_sep|>filename, newline, <|fim_prefix|>PREFIX PROMPT<|fim_suffix|>SUFFIX<|fim_middle|>.
/// The front of the extra files gives way when all does not fit into `n_room` tokens, then the
/// front of the prefix and the end of the suffix, 3 to 1.
/// Throws NotSupported when the vocabulary lacks the tokens, RequestError for malformed fields.
std::vector<TokenId> infill_prompt(const Context& context, const Json& body, int n_room);

}  // namespace foretoken::api
