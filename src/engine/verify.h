// One pass of the target over the last token and a draft: the law of the token at every position,
// had the draft been right so far. Nothing is committed.
#pragma once

#include <vector>

#include "engine/draft.h"
#include "engine/session.h"
#include "sampling/sampler.h"

namespace foretoken::engine {

/// What the target says: laws[i] is the law of the token after `last` and i drafts, with penalties
/// evaluated on a history that includes those drafts. One more than there are drafts.
struct Verification {
  std::vector<sampling::Distribution> laws;
  double seconds = 0.0;
};

/// Runs the session over `last` and the drafts; Session::commit must follow. The sampler's history
/// is as before afterwards, and no random number is used.
Verification verify(Session& session, TokenId last, const Draft& draft, sampling::Sampler& sampler);

}  // namespace foretoken::engine
