// See request_fields.h.
#include "api/request_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "api/field_reader.h"
#include "api/request_body.h"
#include "api/sampler_names.h"
#include "api/token_fields.h"
#include "base/error.h"

namespace foretoken::api {
namespace {

constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();

void read_answer_fields(const FieldReader& read, const Context& context, const Json& body,
                        RequestFields& out) {
  out.stream = read.boolean({"stream"}, false);
  if (const Json* options = find_field(body, "stream_options")) {
    if (options->is_object()) {
      out.include_usage = FieldReader(context, *options).boolean({"include_usage"}, false);
    } else {
      read.remark_wrong_type("stream_options", *options, "an object");
    }
  }
  out.timings_per_token = read.boolean({"timings_per_token"}, false);
  out.return_progress = read.boolean({"return_progress"}, false);
  out.return_tokens = read.boolean({"return_tokens"}, false);
  out.verbose = read.boolean({"verbose"}, false);
  out.stream_coalesce = read.boolean({"stream_coalesce"}, false);
  out.response_fields = read.texts({"response_fields"}).value_or(std::vector<std::string>{});
  // They are looked up on the inference thread.
  constexpr std::size_t kMaxResponseFields = 256;
  if (out.response_fields.size() > kMaxResponseFields) {
    refuse_field("response_fields", fmt::format("at most {} are allowed", kMaxResponseFields));
  }
  const auto ping = static_cast<std::int64_t>(context.defaults.sse_ping_seconds);
  if (read.find({"sse_ping_interval"}).value != nullptr) {
    out.sse_ping_seconds =
        static_cast<double>(read.integer({"sse_ping_interval"}, ping, -1, kMaxInt));
  } else {
    out.sse_ping_seconds = context.defaults.sse_ping_seconds;
  }
}

/// Every token is compared with every stop string, on the inference thread.
void check_stop(const std::vector<std::string>& stop) {
  constexpr std::size_t kMaxWords = 256;
  constexpr std::size_t kMaxBytes = 4096;
  if (stop.size() > kMaxWords) {
    refuse_field("stop", fmt::format("at most {} stop strings are allowed", kMaxWords));
  }
  for (const std::string& word : stop) {
    if (word.size() > kMaxBytes) {
      refuse_field("stop", fmt::format("a stop string is longer than {} bytes", kMaxBytes));
    }
  }
}

void read_extent_fields(const FieldReader& read, const Context& context, RequestFields& out) {
  const int limit = context.defaults.n_predict;
  out.n_predict = read.small({"n_predict", "max_completion_tokens", "max_tokens"}, limit, -1);
  if (limit >= 0 && (out.n_predict < 0 || out.n_predict > limit)) out.n_predict = limit;
  const int n_slots = context.service->n_slots();
  out.n_choices = read.small({"n_cmpl", "n"}, 1, 1, n_slots);
  out.id_slot = read.small({"id_slot"}, -1, -1);
  if (out.id_slot >= n_slots) {
    refuse_field("id_slot",
                 fmt::format("there is no slot {}, only 0 to {}", out.id_slot, n_slots - 1));
  }
  out.cache_prompt = read.boolean({"cache_prompt"}, context.defaults.cache_prompt);
  out.n_indent = read.small({"n_indent"}, 0, 0);
  out.n_keep = read.small({"n_keep"}, 0, -1);
  out.n_discard = read.small({"n_discard"}, 0, 0);
  read.small({"n_cache_reuse"}, 0, 0);  // checked like the others, of no use here
  out.t_max_predict_ms =
      read.integer({"t_max_predict_ms"}, 0, -1, std::numeric_limits<std::int64_t>::max());
  out.stop = read.texts({"stop"}).value_or(std::vector<std::string>{});
  std::erase_if(out.stop, [](const std::string& word) { return word.empty(); });
  check_stop(out.stop);
  if (out.stop.empty()) out.stop = context.defaults.stop;
}

/// -1: the whole context, as older clients write it.
int read_window(const FieldReader& read, Names names, int fallback, int n_ctx) {
  const int window = read.small(names, fallback, -1);
  return window < 0 ? n_ctx : window;
}

std::uint32_t read_seed(const FieldReader& read, std::uint32_t fallback) {
  // Negative numbers wrap, so that -1 is the random seed.
  const std::int64_t seed =
      read.integer({"seed"}, fallback, std::numeric_limits<std::int64_t>::min(),
                   std::numeric_limits<std::int64_t>::max());
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(seed));
}

void read_sampling_numbers(const FieldReader& read, const sampling::SamplingParams& base, int n_ctx,
                           RequestFields& out) {
  sampling::SamplingParams& p = out.sampling;
  p.seed = read_seed(read, base.seed);
  p.temperature = read.number({"temperature"}, base.temperature, 0.0F);
  p.top_k = static_cast<int>(std::max<std::int64_t>(
      0, read.integer({"top_k"}, base.top_k, std::numeric_limits<int>::min(), kMaxInt)));
  p.top_p = read.number({"top_p"}, base.top_p, 0.0F, 1.0F);
  p.min_p = read.number({"min_p"}, base.min_p, 0.0F, 1.0F);
  p.typical_p = read.number({"typical_p", "typ_p"}, base.typical_p, 0.0F, 1.0F);
  p.top_n_sigma = read.number({"top_n_sigma"}, base.top_n_sigma);
  p.min_keep = read.small({"min_keep"}, base.min_keep, 0);
  p.repeat_last_n = read_window(read, {"repeat_last_n"}, base.repeat_last_n, n_ctx);
  p.repeat_penalty = read.number({"repeat_penalty"}, base.repeat_penalty);
  p.presence_penalty = read.number({"presence_penalty"}, base.presence_penalty);
  p.frequency_penalty = read.number({"frequency_penalty"}, base.frequency_penalty);
  p.dry_multiplier = read.number({"dry_multiplier"}, base.dry_multiplier);
  p.dry_base = read.number({"dry_base"}, base.dry_base);
  if (p.dry_base < 1.0F) p.dry_base = base.dry_base;
  p.dry_allowed_length = read.small({"dry_allowed_length"}, base.dry_allowed_length, 0);
  p.dry_penalty_last_n = read_window(read, {"dry_penalty_last_n"}, base.dry_penalty_last_n, n_ctx);
  p.xtc_probability = read.number({"xtc_probability"}, base.xtc_probability, 0.0F, 1.0F);
  p.xtc_threshold = read.number({"xtc_threshold"}, base.xtc_threshold, 0.0F, 1.0F);
  p.dynatemp_range = read.number({"dynatemp_range"}, base.dynatemp_range);
  p.mirostat = static_cast<int>(std::clamp<std::int64_t>(
      read.integer({"mirostat"}, base.mirostat, std::numeric_limits<int>::min(), kMaxInt), 0, 2));
  p.adaptive_target = read.number({"adaptive_target"}, base.adaptive_target,
                                  std::numeric_limits<float>::lowest(), 1.0F);
  p.dynatemp_exponent = read.number({"dynatemp_exponent"}, base.dynatemp_exponent);
  p.mirostat_tau = read.number({"mirostat_tau"}, base.mirostat_tau);
  p.mirostat_eta = read.number({"mirostat_eta"}, base.mirostat_eta);
  p.adaptive_decay = read.number({"adaptive_decay"}, base.adaptive_decay, 0.0F, 0.99F);
}

void read_token_fields(const FieldReader& read, const Context& context, const Json& body,
                       RequestFields& out) {
  const tokenizer::Tokenizer& tokenizer = *context.tokenizer;
  if (const Json* bias = find_field(body, "logit_bias")) {
    if (!bias->is_object() && !bias->is_array()) {
      read.remark_wrong_type("logit_bias", *bias, "an object or an array");
    }
    out.sampling.logit_bias = read_logit_bias(tokenizer, *bias);
  }
  out.ignore_eos = read.boolean({"ignore_eos"}, context.defaults.ignore_eos);
  if (out.ignore_eos) ban_ends(tokenizer, out.sampling.logit_bias);

  out.dry_breakers = context.defaults.dry_breakers;
  if (auto breakers = read.texts({"dry_sequence_breakers"})) {
    if (breakers->empty()) {
      refuse_field("dry_sequence_breakers", "must be a non-empty array of strings");
    }
    out.dry_breakers = std::move(*breakers);
  }
  if (out.sampling.dry_multiplier > 0.0F) {
    out.sampling.dry_sequence_breakers = expand_dry_breakers(tokenizer, out.dry_breakers);
  }
}

void read_probability_fields(const FieldReader& read, RequestFields& out) {
  out.n_probs = read.small({"n_probs", "logprobs"}, 0, 0, kMaxProbabilities);
  out.want_logprobs = out.n_probs > 0;
  out.post_sampling_probs = read.boolean({"post_sampling_probs"}, false);
  out.backend_sampling = read.boolean({"backend_sampling"}, false);
}

/// Strings, or objects {"type", "value"} as llama.cpp's chat layer writes them; types 2 and 3 are
/// regular expressions there.
std::vector<std::string> read_triggers(const Json& list) {
  if (!list.is_array()) refuse_field("grammar_triggers", "must be an array");
  std::vector<std::string> triggers;
  for (const Json& item : list) {
    const Json* value = item.is_string() ? &item : find_field(item, "value");
    if (value == nullptr || !value->is_string()) {
      refuse_field("grammar_triggers", "an entry is neither a string nor an object with a value");
    }
    if (const Json* type = item.is_object() ? find_field(item, "type") : nullptr) {
      if (type->is_number_integer() && *type >= 2) {
        refuse_field("grammar_triggers", "patterns are not supported, use words");
      }
    }
    triggers.push_back(value->get<std::string>());
  }
  return triggers;
}

void read_constraint_fields(const FieldReader& read, const Context& context, const Json& body,
                            RequestFields& out) {
  out.grammar = read.text({"grammar"}, "");
  if (const Json* schema = find_field(body, "json_schema")) {
    if (!out.grammar.empty()) {
      throw RequestError("Cannot use both json_schema and grammar: leave one of them out");
    }
    out.schema = checked_schema(*schema, "json_schema");
  }
  if (out.grammar.empty() && !out.schema) {
    out.grammar = context.defaults.grammar;
    if (out.grammar.empty() && !context.defaults.json_schema.is_null()) {
      out.schema = checked_schema(context.defaults.json_schema, "json_schema");
    }
  }
  out.grammar_lazy = read.boolean({"grammar_lazy"}, false);
  if (const Json* triggers = find_field(body, "grammar_triggers")) {
    out.grammar_triggers = read_triggers(*triggers);
  }
  if (out.grammar_lazy && out.grammar_triggers.empty() && !out.grammar.empty()) {
    refuse_field("grammar_lazy", "a lazy grammar needs grammar_triggers");
  }
  for (const std::string& text :
       read.texts({"preserved_tokens"}).value_or(std::vector<std::string>{})) {
    if (const auto id = context.tokenizer->find_special(text)) out.preserved_tokens.push_back(*id);
  }
}

/// "speculative.n_max" as a flat key, or n_max inside an object "speculative". Never an error:
/// values out of range are moved into it, others ignored.
void read_speculation(const FieldReader& flat, const Context& context, const Json& body,
                      engine::SpeculationOptions& out) {
  static const Json kEmpty = Json::object();
  const Json* object = find_field(body, "speculative");
  const FieldReader inner(context, object != nullptr ? *object : kEmpty);
  const auto both = [&](std::string_view dotted, std::string_view plain, float fallback,
                        float max) {
    return flat.number({dotted}, inner.number({plain}, fallback, 0.0F, max), 0.0F, max);
  };
  const auto ceiling = static_cast<float>(out.limits.n_max);
  out.limits.n_max = static_cast<int>(both("speculative.n_max", "n_max", ceiling, ceiling));
  out.limits.n_min =
      static_cast<int>(both("speculative.n_min", "n_min",
                            static_cast<float>(std::min(out.limits.n_min, out.limits.n_max)),
                            static_cast<float>(out.limits.n_max)));
  out.limits.p_min = both("speculative.p_min", "p_min", out.limits.p_min, 1.0F);

  using Type = engine::SpeculationOptions::Type;
  const std::string type = flat.text({"speculative.type"}, inner.text({"type"}, ""));
  if (type == "none") {
    out.type = Type::None;
  } else if (type == "draft-mtp" || type == "mtp" || type == "auto") {
    if (out.type == Type::None && context.model.n_mtp_layers > 0) out.type = Type::Auto;
  } else if (!type.empty()) {
    context.remark(LogLevel::Warning, "request field 'speculative.type' is ignored: unknown kind");
  }
  if (out.limits.n_max == 0) out.type = Type::None;
}

void check_lora(const Json& body) {
  const Json* lora = find_field(body, "lora");
  if (lora == nullptr) return;
  if (!lora->is_array()) refuse_field("lora", "must be an array of adapters");
  if (!lora->empty()) refuse_field("lora", "this server has no adapters; leave the list empty");
}

}  // namespace

Json checked_schema(const Json& schema, const std::string& field) {
  if (schema.is_boolean()) return schema;
  if (!schema.is_object()) {
    refuse_field(field,
                 std::string("must be a JSON schema (an object), not ") + schema.type_name());
  }
  if (schema.empty()) return Json{{"type", "object"}};
  return schema;
}

std::string speculation_name(const Context& context, const engine::SpeculationOptions& options) {
  const bool drafts = options.type != engine::SpeculationOptions::Type::None &&
                      options.limits.n_max > 0 && context.model.n_mtp_layers > 0;
  return drafts ? "draft-mtp" : "none";
}

RequestFields read_request_fields(const Context& context, const Json& body) {
  RequestFields out;
  const FieldReader read(context, body);
  out.sampling = context.defaults.sampling;
  out.speculation = context.defaults.speculation;
  read_answer_fields(read, context, body, out);
  read_extent_fields(read, context, out);
  read_sampling_numbers(read, context.defaults.sampling, context.service->slot_context(), out);
  out.samplers = context.defaults.samplers;
  if (const Json* samplers = find_field(body, "samplers")) {
    out.samplers = read_samplers(context, *samplers);
  } else if (out.samplers.empty()) {
    out.samplers = default_samplers();
    if (out.sampling.adaptive_target >= 0.0F) out.samplers.emplace_back("adaptive_p");
  }
  apply_samplers(out.samplers, out.sampling);
  read_token_fields(read, context, body, out);
  read_probability_fields(read, out);
  read_constraint_fields(read, context, body, out);
  read_speculation(read, context, body, out.speculation);
  check_lora(body);
  sampling::validate(out.sampling, context.tokenizer->n_vocab());
  return out;
}

}  // namespace foretoken::api
