// Request fields that speak of tokens: biases by id or text, ends of text that are banned, breakers
// of DRY.
#pragma once

#include <string>
#include <vector>

#include "api/context.h"
#include "sampling/params.h"

namespace foretoken::api {

/// {"id or text": bias} or [["id or text" or id, bias]]; false as bias bans. A text stands for all
/// tokens that it is made of; biases of one token add up. Entries of other shapes and ids outside
/// the vocabulary are left out, as llama.cpp's server does.
std::vector<sampling::LogitBias> read_logit_bias(const tokenizer::Tokenizer& tokenizer,
                                                 const Json& value);

/// Bans every end-of-generation token.
void ban_ends(const tokenizer::Tokenizer& tokenizer, std::vector<sampling::LogitBias>& bias);

/// Every token sequence in which a breaker shows: tokens that contain it, and tokens that end in
/// its beginning, followed by the rest as it is usually spelled. Looks at the whole vocabulary.
/// Throws RequestError for too many or too long texts.
std::vector<std::vector<TokenId>> expand_dry_breakers(const tokenizer::Tokenizer& tokenizer,
                                                      const std::vector<std::string>& breakers);

}  // namespace foretoken::api
