// JSON of completion answers, native and OpenAI. Pure functions.
// Source: docs/http-api.md, "Native completion", "OpenAI completions"; llama.cpp's server; OpenAI's
// API reference for the arrays of log-probabilities.
#pragma once

#include <string>

#include "api/chat_records.h"
#include "api/completion_run.h"
#include "api/context.h"

namespace foretoken::api {

enum class CompletionStyle { Native, OpenAi };

/// How far one reply is: what partial records of the native stream repeat.
struct CompletionState {
  int index = 0;
  int slot = -1;
  int n_prompt = 0;
  int n_predicted = 0;
};

/// A record of the native stream, without timings and progress.
Json native_chunk(const CompletionState& state, const CompletionPart& part, bool post_sampling);
/// A record of OpenAI's stream, or, with a reason, its last; without usage and timings.
Json openai_chunk(const AnswerHead& head, int index, const CompletionPart& part, bool want_logprobs,
                  bool post_sampling, Json finish_reason = nullptr);
/// One element of `choices`.
Json openai_choice(int index, const CompletionPart& part, bool want_logprobs, bool post_sampling,
                   Json finish_reason);

/// "stop" or "length".
const char* openai_reason(StopType type);

/// {"content": [...]} and beside it the arrays of the older format: tokens, token_logprobs,
/// top_logprobs (text to value), text_offset (characters from the part's start).
Json openai_logprobs(const CompletionPart& part, bool post_sampling);

}  // namespace foretoken::api
