// See generation_settings.h.
#include "api/generation_settings.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace foretoken::api {
namespace {

void add_sampling(Json& json, const RequestFields& fields) {
  const sampling::SamplingParams& p = fields.sampling;
  json["seed"] = p.seed;
  json["temperature"] = p.temperature;
  json["dynatemp_range"] = p.dynatemp_range;
  json["dynatemp_exponent"] = p.dynatemp_exponent;
  json["top_k"] = p.top_k;
  json["top_p"] = p.top_p;
  json["min_p"] = p.min_p;
  json["top_n_sigma"] = p.top_n_sigma;
  json["xtc_probability"] = p.xtc_probability;
  json["xtc_threshold"] = p.xtc_threshold;
  json["typical_p"] = p.typical_p;
  json["repeat_last_n"] = p.repeat_last_n;
  json["repeat_penalty"] = p.repeat_penalty;
  json["presence_penalty"] = p.presence_penalty;
  json["frequency_penalty"] = p.frequency_penalty;
  json["dry_multiplier"] = p.dry_multiplier;
  json["dry_base"] = p.dry_base;
  json["dry_allowed_length"] = p.dry_allowed_length;
  json["dry_penalty_last_n"] = p.dry_penalty_last_n;
}

Json bias_json(const std::vector<sampling::LogitBias>& bias) {
  Json array = Json::array();
  for (const sampling::LogitBias& entry : bias) {
    // JSON has no infinity; null is what llama.cpp's server shows for a ban, too.
    array.push_back({{"bias", entry.bias}, {"token", entry.token}});
  }
  return array;
}

std::string grammar_text(const RequestFields& fields) {
  return fields.schema ? grammar::json_schema_to_gbnf(*fields.schema) : fields.grammar;
}

Json triggers_json(const RequestFields& fields) {
  Json array = Json::array();
  for (const std::string& word : fields.grammar_triggers) {
    array.push_back({{"type", 1}, {"value", word}});
  }
  return array;
}

void add_speculation(Json& json, const Context& context,
                     const engine::SpeculationOptions& options) {
  json["speculative.types"] = speculation_name(context, options);
  json["speculative.n_max"] = options.limits.n_max;
  json["speculative.n_min"] = options.limits.n_min;
  json["speculative.p_min"] = options.limits.p_min;
}

}  // namespace

Json generation_settings(const Context& context, const RequestFields& fields, SettingsDetail detail,
                         const ChatRequest* chat) {
  const bool full = detail == SettingsDetail::Full;
  Json json = Json::object();
  add_sampling(json, fields);
  if (full) json["dry_sequence_breakers"] = fields.dry_breakers;
  json["mirostat"] = fields.sampling.mirostat;
  json["mirostat_tau"] = fields.sampling.mirostat_tau;
  json["mirostat_eta"] = fields.sampling.mirostat_eta;
  json["adaptive_target"] = fields.sampling.adaptive_target;
  json["adaptive_decay"] = fields.sampling.adaptive_decay;
  if (full) json["stop"] = fields.stop;
  json["max_tokens"] = fields.n_predict;
  json["n_predict"] = fields.n_predict;
  json["n_keep"] = fields.n_keep;
  json["n_discard"] = fields.n_discard;
  json["ignore_eos"] = fields.ignore_eos;
  json["stream"] = fields.stream;
  if (full) json["logit_bias"] = bias_json(fields.sampling.logit_bias);
  json["n_probs"] = fields.n_probs;
  json["min_keep"] = fields.sampling.min_keep;
  if (full) {
    json["grammar"] = grammar_text(fields);
    json["grammar_lazy"] = fields.grammar_lazy;
    json["grammar_triggers"] = triggers_json(fields);
    json["preserved_tokens"] = fields.preserved_tokens;
  }
  json["chat_format"] = chat != nullptr ? "qwen3.5" : "Content-only";
  json["reasoning_format"] =
      chat != nullptr ? name_of(chat->reasoning_format) : context.defaults.reasoning_format;
  json["reasoning_in_content"] = chat != nullptr && chat->reasoning_in_content();
  json["generation_prompt"] = chat != nullptr ? chat->generation_prompt : "";
  json["samplers"] = fields.samplers;
  add_speculation(json, context, fields.speculation);
  json["timings_per_token"] = fields.timings_per_token;
  json["post_sampling_probs"] = fields.post_sampling_probs;
  json["backend_sampling"] = fields.backend_sampling;
  json["lora"] = Json::array();
  return json;
}

}  // namespace foretoken::api
