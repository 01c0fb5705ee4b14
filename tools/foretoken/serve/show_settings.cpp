#include "serve/show_settings.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace foretoken::tools {
namespace {

using Json = nlohmann::ordered_json;

Json model_json(const ServeOptions& options) {
  const ServeModelOptions& source = options.source;
  return {{"model", options.model.model},
          {"hf_repo", source.hub_repository},
          {"hf_file", source.hub_file},
          {"hf_token_given", !source.hub_token.empty()},
          {"offline", source.offline},
          {"alias", source.alias},
          {"tags", source.tags},
          {"mmproj", source.projector},
          {"mmproj_auto", source.projector_auto},
          {"image_min_tokens", source.image_min_tokens},
          {"image_max_tokens", source.image_max_tokens},
          {"draft_model", source.draft_model},
          {"threads", options.model.threads},
          {"ctx_size", options.model.context},
          {"batch_size", options.model.batch},
          {"cache_type_k", options.model.key_type},
          {"cache_type_v", options.model.value_type},
          {"backend", options.model.backend}};
}

Json context_json(const ServeContextOptions& c) {
  return {{"parallel", c.parallel},
          {"kv_unified", c.kv_unified},
          {"kv_unified_per_slot", c.kv_unified_per_slot},
          {"cont_batching", c.cont_batching},
          {"cache_prompt", c.cache_prompt},
          {"cache_ram", c.cache_ram_mib},
          {"ctx_checkpoints", c.checkpoints},
          {"checkpoint_min_step", c.checkpoint_min_step},
          {"slot_save_path", c.slot_save_path},
          {"cache_dir", c.cache_dir},
          {"queue", c.queue_bound},
          {"sleep_idle_seconds", c.sleep_idle_seconds},
          {"warmup", c.warmup}};
}

Json speculation_json(const SpeculationFlags& s) {
  return {{"type", s.type},   {"n_max", s.n_max_given ? Json(s.n_max) : Json("as deep as pays")},
          {"n_min", s.n_min}, {"p_min", s.p_min},
          {"fixed", s.fixed}, {"vocab", s.vocabulary}};
}

Json sampling_json(const SamplingOptions& in) {
  const sampling::SamplingParams& p = in.params;
  return {{"seed", in.seed},
          {"temperature", p.temperature},
          {"top_k", p.top_k},
          {"top_p", p.top_p},
          {"min_p", p.min_p},
          {"typical_p", p.typical_p},
          {"top_n_sigma", p.top_n_sigma},
          {"repeat_last_n", p.repeat_last_n},
          {"repeat_penalty", p.repeat_penalty},
          {"presence_penalty", p.presence_penalty},
          {"frequency_penalty", p.frequency_penalty},
          {"dry_multiplier", p.dry_multiplier},
          {"dry_base", p.dry_base},
          {"dry_allowed_length", p.dry_allowed_length},
          {"dry_penalty_last_n", p.dry_penalty_last_n},
          {"xtc_probability", p.xtc_probability},
          {"xtc_threshold", p.xtc_threshold},
          {"dynatemp_range", p.dynatemp_range},
          {"dynatemp_exponent", p.dynatemp_exponent},
          {"mirostat", p.mirostat},
          {"mirostat_tau", p.mirostat_tau},
          {"mirostat_eta", p.mirostat_eta},
          {"adaptive_target", p.adaptive_target},
          {"adaptive_decay", p.adaptive_decay},
          {"logit_bias", in.logit_bias}};
}

Json chat_json(const ServeChatOptions& c) {
  return {{"predict", c.n_predict},
          {"ignore_eos", c.ignore_eos},
          {"chat_template_given", !c.chat_template.empty() || !c.chat_template_file.empty()},
          {"chat_template_kwargs", c.template_kwargs},
          {"reasoning_format", c.reasoning_format},
          {"reasoning", c.reasoning},
          {"reasoning_effort", c.reasoning_effort},
          {"reasoning_budget", c.reasoning_budget},
          {"reasoning_budget_message", c.reasoning_budget_message},
          {"reasoning_preserve", c.reasoning_preserve},
          {"empty_think", c.empty_think},
          {"skip_chat_parsing", c.skip_chat_parsing},
          {"prefill_assistant", c.prefill_assistant},
          {"special", c.special},
          {"stop", c.stop},
          {"samplers", c.samplers},
          {"grammar_given", !c.grammar.empty() || !c.grammar_file.empty()},
          {"json_schema_given", !c.json_schema.empty() || !c.json_schema_file.empty()}};
}

Json http_json(const ServeHttpOptions& h) {
  return {{"host", h.host},
          {"port", h.port},
          {"reuse_port", h.reuse_port},
          {"api_prefix", h.prefix},
          {"path", h.static_path},
          {"api_keys",
           h.api_keys.empty() ? 0 : 1 + std::count(h.api_keys.begin(), h.api_keys.end(), ',')},
          {"api_key_file", h.api_key_file},
          {"ssl_key_file", h.tls_key_file},
          {"ssl_cert_file", h.tls_certificate_file},
          {"cors_origins", h.cors_origins},
          {"cors_methods", h.cors_methods},
          {"cors_headers", h.cors_headers},
          {"cors_credentials", h.cors_credentials},
          {"timeout", h.timeout_s},
          {"sse_ping_interval", h.sse_ping_s},
          {"metrics", h.metrics},
          {"slots", h.slots},
          {"props", h.props},
          {"ui", h.page},
          {"drain_seconds", h.drain_s}};
}

Json log_json(const ServeLogOptions& l) {
  return {{"verbosity", l.verbosity},   {"verbose", l.verbose},  {"file", l.file},
          {"jsonl", l.jsonl},           {"colors", l.colors},    {"prefix", l.prefix},
          {"timestamps", l.timestamps}, {"disabled", l.disabled}};
}

}  // namespace

std::string show_settings(const ServeOptions& options) {
  const Json out = {{"model", model_json(options)},
                    {"slots", context_json(options.context)},
                    {"server", http_json(options.http)},
                    {"chat", chat_json(options.chat)},
                    {"sampling", sampling_json(options.sampling)},
                    {"speculation", speculation_json(options.speculation)},
                    {"log", log_json(options.log)},
                    {"notices", options.notices}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace foretoken::tools
