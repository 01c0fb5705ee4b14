// See props_json.h.
#include "api/props_json.h"

#include <chrono>
#include <string>

#include "api/chat_records.h"
#include "api/generation_settings.h"
#include "api/request_fields.h"

namespace foretoken::api {
namespace {

Json mtp_json(const ModelFacts& model) {
  Json json = {{"present", model.n_mtp_layers > 0}, {"layers", model.n_mtp_layers}};
  if (model.n_mtp_layers > 0) json["source"] = model.mtp_source;
  return json;
}

/// The entry that Ollama's clients read.
Json model_entry(const std::string& id) {
  Json details = {{"parent_model", ""},   {"format", "gguf"},
                  {"family", ""},         {"families", Json::array({""})},
                  {"parameter_size", ""}, {"quantization_level", ""}};
  Json entry = {{"name", id}, {"model", id}, {"modified_at", ""}, {"size", ""}, {"digest", ""}};
  entry["type"] = "model";
  entry["description"] = "";
  entry["tags"] = Json::array({""});
  entry["capabilities"] = Json::array({"completion"});
  entry["parameters"] = "";
  entry["details"] = std::move(details);
  return entry;
}

Json meta_json(const Context& context) {
  const ModelFacts& model = context.model;
  const int n_ctx = context.service->slot_context();
  return {
      {"vocab_type", model.vocabulary_type == "2" ? Json(2) : Json(model.vocabulary_type)},
      {"n_vocab", model.n_vocab},
      {"n_ctx", n_ctx},
      {"n_ctx_slot", n_ctx},
      {"n_ctx_train", model.n_ctx_train},
      {"n_embd", model.d_model},
      {"n_params", model.n_params},
      {"size", model.size_bytes},
      {"ftype", model.file_type},
      {"mtp", mtp_json(model)},
  };
}

/// What this family's templates can do; clients ask before they send tools.
Json template_caps() {
  return {{"supports_tools", true},
          {"supports_tool_calls", true},
          {"supports_system_role", true},
          {"supports_parallel_tool_calls", true},
          {"supports_preserve_reasoning", true},
          {"supports_string_content", true},
          {"supports_typed_content", true},
          {"supports_object_arguments", true}};
}

}  // namespace

Json models_json(const Context& context) {
  const std::string id = model_id(context);
  Json model = {{"id", id}, {"aliases", context.model.aliases}, {"tags", context.model.tags}};
  model["object"] = "model";
  model["created"] = context.started_unix;
  model["owned_by"] = "llamacpp";
  model["meta"] = meta_json(context);
  Json json = Json::object();
  json["models"] = Json::array({model_entry(id)});
  json["object"] = "list";
  json["data"] = Json::array({std::move(model)});
  return json;
}

Json props_json(const Context& context) {
  const Settings& settings = context.settings;
  const RequestFields defaults = read_request_fields(context, Json::object());
  Json generation = Json::object();
  generation["params"] = generation_settings(context, defaults, SettingsDetail::Short);
  generation["n_ctx"] = context.service->slot_context();
  const scheduler::SpeculationState spec = context.service->speculation();

  Json json = Json::object();
  json["default_generation_settings"] = std::move(generation);
  json["total_slots"] = context.service->n_slots();
  json["model_alias"] = model_id(context);
  json["model_ftype"] = context.model.file_type;
  json["model_path"] = context.model.path;
  json["modalities"] = Json{{"vision", false}, {"video", false}, {"audio", false}};
  json["media_marker"] = settings.media_marker;
  json["endpoint_slots"] = settings.endpoint_slots;
  json["endpoint_props"] = settings.endpoint_props;
  json["endpoint_metrics"] = settings.endpoint_metrics;
  json["ui"] = settings.web_page;
  json["ui_settings"] = Json::object();
  json["chat_template"] = context.chat_template->source();
  json["chat_template_caps"] = template_caps();
  json["bos_token"] = context.model.bos_token;
  json["eos_token"] = context.model.eos_token;
  json["build_info"] = settings.build_info;
  json["is_sleeping"] = context.service->is_sleeping();
  json["cors_proxy_enabled"] = false;
  json["speculative"] =
      Json{{"type", spec.kind},   {"n_max", spec.n_max},       {"n_min", spec.n_min},
           {"p_min", spec.p_min}, {"adaptive", spec.adaptive}, {"mtp_present", spec.mtp_present}};
  return json;
}

Json speculation_json(const Context& context, const scheduler::Metrics& metrics) {
  const scheduler::SpeculationState spec = context.service->speculation();
  Json json = {{"type", spec.kind},         {"n_max", spec.n_max},
               {"n_min", spec.n_min},       {"p_min", spec.p_min},
               {"adaptive", spec.adaptive}, {"mtp_present", spec.mtp_present},
               {"parked", spec.parked}};
  if (spec.parked) json["parked_reason"] = spec.parked_reason;
  json["expected_speedup"] = spec.expected_speedup;
  json["acceptance_per_pos"] = spec.acceptance_at;
  json["verify_ms_by_width"] = Json::array();
  for (const double seconds : spec.verify_seconds_width) {
    json["verify_ms_by_width"].push_back(1e3 * seconds);
  }
  json["draft_step_ms"] = 1e3 * spec.draft_step_seconds;
  json["drafted"] = metrics.draft_tokens;
  json["accepted"] = metrics.draft_accepted;
  json["rounds"] = metrics.draft_rounds;
  json["rounds_by_depth"] = metrics.depth_rounds;
  return json;
}

}  // namespace foretoken::api
