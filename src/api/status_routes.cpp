// Health, models, properties, metrics, version, speculation.
#include <memory>
#include <string>

#include "api/errors.h"
#include "api/handler.h"
#include "api/json_output.h"
#include "api/metrics.h"
#include "api/props_json.h"
#include "api/routes.h"

namespace foretoken::api {
namespace {

void set_props(const ContextPtr& context, const http::ExchangePtr& exchange) {
  if (!context->settings.endpoint_props) {
    throw NotSupported(
        "This server does not support changing global properties. Start it with `--props`");
  }
  exchange->respond(json_response({{"success", true}}));
}

void metrics(MetricsCollector& collector, const ContextPtr& context,
             const http::ExchangePtr& exchange) {
  if (!context->settings.endpoint_metrics) {
    throw NotSupported("This server does not support metrics endpoint. Start it with `--metrics`");
  }
  http::Response response;
  response.content_type = "text/plain; version=0.0.4";
  response.headers = {{"Process-Start-Time-Unix", std::to_string(context->started_unix)}};
  response.body = collector.text(*context);
  exchange->respond(std::move(response));
}

}  // namespace

void add_status_routes(http::Router& router, const ContextSource& context) {
  const auto collector = std::make_shared<MetricsCollector>();
  for (const char* path : {"/health", "/v1/health"}) {
    router.add("GET", path,
               with_context(context,
                            [](const auto&, const auto& exchange) {
                              exchange->respond(json_response({{"status", "ok"}}));
                            }),
               {.open = true, .immediate = true});
  }
  for (const char* path : {"/v1/models", "/models"}) {
    router.add("GET", path, with_context(context, [](const auto& ready, const auto& exchange) {
                 exchange->respond(json_response(models_json(*ready)));
               }));
  }
  router.add("GET", "/props", with_context(context, [](const auto& ready, const auto& exchange) {
               exchange->respond(json_response(props_json(*ready)));
             }));
  router.add("POST", "/props", with_context(context, set_props));
  router.add("GET", "/metrics",
             with_context(context, [collector](const auto& ready, const auto& exchange) {
               metrics(*collector, ready, exchange);
             }));
  router.add("GET", "/version", with_context(context, [](const auto& ready, const auto& exchange) {
               exchange->respond(json_response({{"version", ready->settings.build_info}}));
             }));
  router.add("GET", "/v1/spec",
             with_context(context, [collector](const auto& ready, const auto& exchange) {
               exchange->respond(
                   json_response(speculation_json(*ready, collector->take(*ready->service))));
             }));
}

}  // namespace foretoken::api
