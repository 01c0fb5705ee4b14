// The final object of the native completion endpoint, which other dialects show as `__verbose`.
// Source of the keys: docs/http-api.md, "Native completion"; llama.cpp's server.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "api/chat_run.h"
#include "api/context.h"
#include "scheduler/request.h"

namespace foretoken::api {

enum class StopType { None, EndOfText, Limit, Word };
const char* name_of(StopType type);
/// Length and a full context are limits; so is a stop by indentation (`word` empty).
StopType stop_type_of(scheduler::FinishReason reason, const std::string& stopping_word);

struct NativeAnswer {
  int index = 0;
  std::string content;
  std::vector<TokenId> tokens;
  int slot = -1;
  int n_prompt = 0;
  int n_past = 0;  ///< shown as tokens_cached
  Json settings;
  std::string prompt;
  bool has_new_line = false;
  bool truncated = false;
  StopType stop_type = StopType::None;
  std::string stopping_word;
  scheduler::Timings timings;
};

/// Without `completion_probabilities`, which only the endpoint itself adds.
Json native_json(const NativeAnswer& answer, const std::string& model);

/// Keeps the named members; "a/b" takes b out of a and stands under that very name.
Json pick_fields(const std::vector<std::string>& paths, const Json& json);

}  // namespace foretoken::api
