// Where a prompt deserves checkpoints. A recurrent state cannot be taken back, so a later prompt
// that shares a beginning with this one can only go on from where a copy was kept; conversations
// part at the borders of messages, so that is where copies belong.
// Source: docs/prefix-cache.md, "Where checkpoints are taken".
#pragma once

#include <span>
#include <vector>

#include "base/token.h"

namespace foretoken::cache {

/// Most checkpoints one prompt plans.
inline constexpr int kMostPlanned = 64;

/// Token counts after which `prompt` deserves checkpoints: ascending, unique, each above `n_done`
/// and below prompt.size(), at most kMostPlanned.
///
/// `turn_start` is the token that opens a message (<|im_start|>): every message's beginning is one,
/// hence also the end of the system block and the point before the generation prompt. Inside
/// messages longer than `min_step`, further ones lie min_step, 2 min_step, 4 min_step, ... before
/// the message's end, as far as the message goes back (none when min_step < 1). The last is
/// prompt.size() - 1, because one token is always processed again.
///
/// Of more than kMostPlanned the first and the last half are kept, and between them a selection
/// whose gaps grow towards the beginning. Requires a prompt shorter than 2^31 tokens.
std::vector<int> plan_checkpoints(std::span<const TokenId> prompt, TokenId turn_start, int n_done,
                                  int min_step);

}  // namespace foretoken::cache
