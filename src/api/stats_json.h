// What a reply cost, as JSON: `timings`, `usage`, `prompt_progress`.
// Source of the names: docs/http-api.md, "timings", "usage"; llama.cpp's server and what tools
// built around it read.
#pragma once

#include "api/chat_run.h"
#include "api/context.h"
#include "scheduler/request.h"

namespace foretoken::api {

/// All numbers finite. The first generated token belongs to the prompt's time, so rates count the
/// tokens after it. draft_* keys are there only if something was drafted.
Json timings_json(const scheduler::Timings& timings);

/// OpenAI's usage with cached and reasoning tokens and the drafts' fate.
Json usage_json(const ChatUsage& usage);

/// Fills everything but reasoning_tokens.
ChatUsage usage_of(int n_prompt, const scheduler::Timings& timings);

Json progress_json(int processed, int total, int cached, double ms);

}  // namespace foretoken::api
