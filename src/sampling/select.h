// Finding the largest of a quarter of a million logits without sorting them.
//
// The idea: the maxima of blocks of 64 logits take one streaming pass. If k blocks have a maximum
// of at least t, then at least k logits are >= t; so with t = the k-th largest block maximum, the k
// largest logits all lie in blocks whose maximum reaches t. Only those few blocks are read again.
#pragma once

#include <span>
#include <vector>

#include "base/token.h"
#include "sampling/distribution.h"

namespace foretoken::sampling {

/// Index of the largest value, the lowest one on ties; NaN is never the largest. Returns -1 when
/// every value is NaN or minus infinity, or there is none.
int argmax(std::span<const float> logits);

/// The k largest entries of `logits` (fewer when fewer are usable), in the order of `comes_before`.
/// logits[i] belongs to token ids[i], or to token i when `ids` is empty. NaN and minus infinity are
/// never returned; plus infinity counts as the largest finite float. p is left 0.
/// Requires k >= 0 and ids.size() equal to logits.size() or 0.
std::vector<Candidate> select_top_k(std::span<const float> logits, std::span<const TokenId> ids,
                                    int k);

/// The usable entries with logit >= max + log(share), max being the largest: those at least `share`
/// as probable as the best. In the order of `logits`; otherwise as select_top_k. Requires 0 < share
/// <= 1.
std::vector<Candidate> select_by_share(std::span<const float> logits, std::span<const TokenId> ids,
                                       float share);

/// All usable entries, in the order of `logits`; otherwise as select_top_k.
std::vector<Candidate> select_all(std::span<const float> logits, std::span<const TokenId> ids);

}  // namespace foretoken::sampling
