// What /v1/models, /props and /v1/spec say about the model and this server. Pure functions of the
// context.
// Source of the keys: docs/http-api.md, "Models", "Properties", "Speculation"; llama.cpp's server.
#pragma once

#include "api/context.h"
#include "scheduler/service.h"

namespace foretoken::api {

Json models_json(const Context& context);
Json props_json(const Context& context);
/// Live state of speculation: bounds, measured acceptance and costs, why it pauses. `metrics` are
/// the service's (see MetricsCollector).
Json speculation_json(const Context& context, const scheduler::Metrics& metrics);

}  // namespace foretoken::api
