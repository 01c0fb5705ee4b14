// See stats_json.h.
#include "api/stats_json.h"

#include <algorithm>
#include <cmath>

namespace foretoken::api {
namespace {

/// value / divisor, 0 where that is no number.
double ratio(double value, double divisor) {
  const double result = divisor > 0.0 ? value / divisor : 0.0;
  return std::isfinite(result) ? result : 0.0;
}

double finite(double value) { return std::isfinite(value) ? std::max(value, 0.0) : 0.0; }

}  // namespace

Json timings_json(const scheduler::Timings& t) {
  const double steps = std::max(t.predicted_n - 1, 0);
  Json json = {
      {"cache_n", t.cache_n},
      {"prompt_n", t.prompt_n},
      {"prompt_ms", finite(t.prompt_ms)},
      {"prompt_per_token_ms", ratio(t.prompt_ms, t.prompt_n)},
      {"prompt_per_second", ratio(1e3 * t.prompt_n, t.prompt_ms)},
      {"predicted_n", t.predicted_n},
      {"predicted_ms", finite(t.predicted_ms)},
      {"predicted_per_token_ms", ratio(t.predicted_ms, steps)},
      {"predicted_per_second", ratio(1e3 * steps, t.predicted_ms)},
  };
  if (t.draft_n > 0) {
    json["draft_n"] = t.draft_n;
    json["draft_n_accepted"] = t.draft_n_accepted;
    json["draft_kind"] = "draft-mtp";
    json["draft_rounds"] = t.draft_rounds;
    Json per_position = Json::array();
    for (std::size_t i = 0; i < t.accepted_at.size() && t.drafted_at[i] > 0; ++i) {
      per_position.push_back(t.accepted_at[i]);
    }
    json["draft_per_pos"] = std::move(per_position);
    json["draft_ms"] = finite(t.draft_ms);
    json["verify_ms"] = finite(t.verify_ms);
  }
  if (!t.draft_parked.empty()) json["draft_parked"] = t.draft_parked;
  return json;
}

Json usage_json(const ChatUsage& usage) {
  return {
      {"completion_tokens", usage.completion_tokens},
      {"prompt_tokens", usage.prompt_tokens},
      {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
      {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
      {"completion_tokens_details",
       {{"reasoning_tokens", usage.reasoning_tokens},
        {"accepted_prediction_tokens", usage.accepted_prediction_tokens},
        {"rejected_prediction_tokens", usage.rejected_prediction_tokens}}},
  };
}

ChatUsage usage_of(int n_prompt, const scheduler::Timings& timings) {
  ChatUsage usage;
  usage.prompt_tokens = n_prompt;
  usage.cached_tokens = timings.cache_n;
  usage.completion_tokens = timings.predicted_n;
  usage.accepted_prediction_tokens = timings.draft_n_accepted;
  usage.rejected_prediction_tokens = timings.draft_n - timings.draft_n_accepted;
  return usage;
}

Json progress_json(int processed, int total, int cached, double ms) {
  return {{"total", total}, {"cache", cached}, {"processed", processed}, {"time_ms", finite(ms)}};
}

}  // namespace foretoken::api
