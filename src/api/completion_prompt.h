// The `prompt` of completion requests, in all its shapes, as tokens.
// Source of the shapes: docs/http-api.md, "Prompts"; llama.cpp's server.
#pragma once

#include <vector>

#include "api/context.h"

namespace foretoken::api {

/// A string; an array of token ids, or of ids and strings (one prompt); an object with
/// "prompt_string"; an array of all these (several prompts). Control tokens spelled in a string
/// count as such. Throws RequestError for anything else, for ids outside the vocabulary, for media
/// (there is no projector) and for nothing at all.
std::vector<std::vector<TokenId>> read_prompts(const Context& context, const Json& prompt);

/// One string, or one array of ids and strings: `content` of /tokenize.
std::vector<TokenId> tokenize_mixed(const Context& context, const Json& content,
                                    bool parse_special);

/// Ids from an array of numbers. Throws RequestError naming `field`.
std::vector<TokenId> read_token_ids(const Context& context, const Json& ids, const char* field);

}  // namespace foretoken::api
