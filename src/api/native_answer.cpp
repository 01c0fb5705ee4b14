// See native_answer.h.
#include "api/native_answer.h"

#include <string_view>

#include "api/stats_json.h"

namespace foretoken::api {
namespace {

const Json* find_path(const Json& json, std::string_view path) {
  const Json* current = &json;
  while (true) {
    const std::size_t slash = path.find('/');
    if (!current->is_object()) return nullptr;
    const auto found = current->find(path.substr(0, slash));
    if (found == current->end()) return nullptr;
    current = &*found;
    if (slash == std::string_view::npos) return current;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

const char* name_of(StopType type) {
  switch (type) {
    case StopType::None:
      return "none";
    case StopType::EndOfText:
      return "eos";
    case StopType::Limit:
      return "limit";
    case StopType::Word:
      return "word";
  }
  return "none";
}

StopType stop_type_of(scheduler::FinishReason reason, const std::string& stopping_word) {
  using Reason = scheduler::FinishReason;
  switch (reason) {
    case Reason::EndOfText:
      return StopType::EndOfText;
    case Reason::StopWord:
      return stopping_word.empty() ? StopType::Limit : StopType::Word;
    case Reason::Length:
    case Reason::ContextFull:
      return StopType::Limit;
    case Reason::Cancelled:
    case Reason::Error:
      return StopType::None;
  }
  return StopType::None;
}

Json native_json(const NativeAnswer& a, const std::string& model) {
  return {
      {"index", a.index},
      {"content", a.content},
      {"tokens", a.tokens},
      {"id_slot", a.slot},
      {"stop", true},
      {"model", model},
      {"tokens_predicted", a.timings.predicted_n},
      {"tokens_evaluated", a.n_prompt},
      {"generation_settings", a.settings},
      {"prompt", a.prompt},
      {"has_new_line", a.has_new_line},
      {"truncated", a.truncated},
      {"stop_type", name_of(a.stop_type)},
      {"stopping_word", a.stopping_word},
      {"tokens_cached", a.n_past},
      {"timings", timings_json(a.timings)},
  };
}

Json pick_fields(const std::vector<std::string>& paths, const Json& json) {
  Json picked = Json::object();
  for (const std::string& path : paths) {
    if (const Json* value = find_path(json, path)) picked[path] = *value;
  }
  return picked;
}

}  // namespace foretoken::api
