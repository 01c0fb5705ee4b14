// GET /slots and POST /slots/{id}?action=save|restore|erase.
#include <fmt/format.h>

#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "api/errors.h"
#include "api/field_reader.h"
#include "api/handler.h"
#include "api/json_output.h"
#include "api/request_body.h"
#include "api/routes.h"
#include "api/slot_file_name.h"
#include "base/error.h"

namespace foretoken::api {
namespace {

Json slot_json(const Context& context, const scheduler::SlotInfo& slot) {
  Json json = {{"id", slot.id},
               {"n_ctx", slot.n_ctx},
               {"speculative", slot.speculative},
               {"is_processing", slot.is_processing}};
  if (slot.request == 0) return json;  // nothing was asked of it yet
  json["id_task"] = slot.request;
  json["n_prompt_tokens"] = slot.n_prompt_tokens;
  json["n_prompt_tokens_processed"] = slot.n_prompt_processed;
  json["n_prompt_tokens_cache"] = slot.n_prompt_cached;
  if (!slot.description.empty()) json["params"] = Json::parse(slot.description);
  // Of a reply under way only: monitors add these up, and what a finished one had left is no work.
  const scheduler::SlotInfo idle;
  const scheduler::SlotInfo& now = slot.is_processing ? slot : idle;
  Json next = {{"has_next_token", now.has_next_token},
               {"has_new_line", now.has_new_line},
               {"n_remain", now.n_remain},
               {"n_decoded", now.n_decoded}};
  json["next_token"] = Json::array({std::move(next)});
  if (context.settings.slots_debug) {
    json["prompt"] = context.tokenizer->decode(slot.prompt);
    json["generated"] = context.tokenizer->decode(slot.generated);
  }
  return json;
}

void list_slots(const ContextPtr& context, const http::ExchangePtr& exchange) {
  if (!context->settings.endpoint_slots) {
    throw NotSupported("This server does not support slots endpoint. Start it with `--slots`");
  }
  Json list = Json::array();
  bool any_idle = false;
  for (const scheduler::SlotInfo& slot : context->service->slots()) {
    any_idle = any_idle || !slot.is_processing;
    list.push_back(slot_json(*context, slot));
  }
  const auto& query = exchange->request().query;
  const auto wish = query.find("fail_on_no_slot");
  if (!any_idle && wish != query.end() && !wish->second.empty() && wish->second != "0") {
    throw Unavailable("no slot available");
  }
  exchange->respond(json_response(list));
}

int read_slot_id(const Context& context, const http::Request& request) {
  const auto found = request.parameters.find("id");
  // Not `... ? found->second : ""`, which would be a copy, and the view one of something gone.
  std::string_view text;
  if (found != request.parameters.end()) text = found->second;
  int id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw RequestError("Invalid slot ID");
  }
  if (id < 0 || id >= context.service->n_slots()) {
    throw ApiError(
        404, "not_found_error",
        fmt::format("there is no slot {}, only 0 to {}", id, context.service->n_slots() - 1));
  }
  return id;
}

Json result_json(const scheduler::SlotAction& action, const std::string& file_name,
                 const scheduler::SlotActionResult& result) {
  using Kind = scheduler::SlotAction::Kind;
  Json json = {{"id_slot", action.slot}};
  switch (action.kind) {
    case Kind::Save:
      json["filename"] = file_name;
      json["n_saved"] = result.n_tokens;
      json["n_written"] = result.n_bytes;
      json["timings"] = Json{{"save_ms", result.ms}};
      break;
    case Kind::Restore:
      json["filename"] = file_name;
      json["n_restored"] = result.n_tokens;
      json["n_read"] = result.n_bytes;
      json["n_reusable"] = result.n_reusable;
      json["timings"] = Json{{"restore_ms", result.ms}};
      break;
    case Kind::Erase:
      json["n_erased"] = result.n_tokens;
      break;
  }
  return json;
}

scheduler::SlotAction::Kind read_action(const http::Request& request) {
  const auto found = request.query.find("action");
  std::string_view name;
  if (found != request.query.end()) name = found->second;
  using Kind = scheduler::SlotAction::Kind;
  if (name == "save") return Kind::Save;
  if (name == "restore") return Kind::Restore;
  if (name == "erase") return Kind::Erase;
  throw RequestError("Invalid action: expected save, restore or erase");
}

void act_on_slot(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const std::string& folder = context->settings.slot_save_path;
  if (folder.empty()) {
    throw NotSupported(
        "This server does not support slots action. Start it with `--slot-save-path`");
  }
  scheduler::SlotAction action;
  action.slot = read_slot_id(*context, exchange->request());
  action.kind = read_action(exchange->request());
  std::string name;
  if (action.kind != scheduler::SlotAction::Kind::Erase) {
    const Json body = parse_body(exchange->request().body);
    name = checked_slot_file_name(FieldReader(*context, body).text({"filename"}, ""));
    action.path = folder + (folder.ends_with('/') ? "" : "/") + name;
  }
  context->service->slot_action(
      action, [exchange, action, name](const scheduler::SlotActionResult& result) {
        if (result.error.empty()) {
          exchange->respond(json_response(result_json(action, name, result)));
        } else if (result.bad_request) {
          exchange->respond(error_response(RequestError(result.error)));
        } else {
          exchange->respond(error_response(ApiError(500, "server_error", result.error)));
        }
      });
}

}  // namespace

void add_slot_routes(http::Router& router, const ContextSource& context) {
  router.add("GET", "/slots", with_context(context, list_slots));
  router.add("POST", "/slots/{id}", with_context(context, act_on_slot));
}

}  // namespace foretoken::api
