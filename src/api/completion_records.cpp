// See completion_records.h.
#include "api/completion_records.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "api/logprobs_json.h"

namespace foretoken::api {
namespace {

int count_characters(std::string_view text) {
  return static_cast<int>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

float finite(float logprob) { return std::max(logprob, std::numeric_limits<float>::lowest()); }

}  // namespace

Json native_chunk(const CompletionState& state, const CompletionPart& part, bool post_sampling) {
  Json record = {
      {"index", state.index},
      {"content", part.text},
      {"tokens", part.tokens},
      {"stop", false},
      {"id_slot", state.slot},
      {"tokens_predicted", state.n_predicted},
      {"tokens_evaluated", state.n_prompt},
  };
  if (!part.logprobs.empty()) {
    record["completion_probabilities"] = logprobs_json(part.logprobs, post_sampling);
  }
  return record;
}

Json openai_logprobs(const CompletionPart& part, bool post_sampling) {
  Json json = {{"content", logprobs_json(part.logprobs, post_sampling)}};
  Json tokens = Json::array();
  Json values = Json::array();
  Json tops = Json::array();
  Json offsets = Json::array();
  int offset = 0;
  for (const TokenLogprob& item : part.logprobs) {
    tokens.push_back(item.token);
    values.push_back(finite(item.logprob));
    Json top = Json::object();
    for (const TokenLogprob::Alternative& other : item.top) {
      // Tokens that hold the same half of a character look alike; the most probable stands.
      if (!top.contains(other.token)) top[other.token] = finite(other.logprob);
    }
    tops.push_back(std::move(top));
    offsets.push_back(offset);
    offset += count_characters(item.token);
  }
  json["tokens"] = std::move(tokens);
  json["token_logprobs"] = std::move(values);
  json["top_logprobs"] = std::move(tops);
  json["text_offset"] = std::move(offsets);
  return json;
}

Json openai_choice(int index, const CompletionPart& part, bool want_logprobs, bool post_sampling,
                   Json finish_reason) {
  Json choice = {{"text", part.text}, {"index", index}, {"logprobs", nullptr}};
  if (want_logprobs && !part.logprobs.empty()) {
    choice["logprobs"] = openai_logprobs(part, post_sampling);
  }
  choice["finish_reason"] = std::move(finish_reason);
  return choice;
}

Json openai_chunk(const AnswerHead& head, int index, const CompletionPart& part, bool want_logprobs,
                  bool post_sampling, Json finish_reason) {
  Json record = Json::object();
  record["choices"] = Json::array();
  record["choices"].push_back(
      openai_choice(index, part, want_logprobs, post_sampling, std::move(finish_reason)));
  record["created"] = head.created;
  record["model"] = head.model;
  record["system_fingerprint"] = head.fingerprint;
  record["object"] = "text_completion";
  record["id"] = head.id;
  return record;
}

const char* openai_reason(StopType type) {
  return type == StopType::EndOfText || type == StopType::Word ? "stop" : "length";
}

}  // namespace foretoken::api
