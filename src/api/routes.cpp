// See routes.h.
#include "api/routes.h"

#include "api/errors.h"
#include "api/json_output.h"

namespace foretoken::api {

void add_routes(http::Router& router, const ContextSource& context) {
  router.set_error_format(
      [](std::string_view path, int status, std::string_view type, std::string_view message) {
        return json_response(error_json(status, type, message, is_anthropic_path(path)), status);
      });
  add_status_routes(router, context);
  add_slot_routes(router, context);
  add_tokenizer_routes(router, context);
  add_completion_routes(router, context);
  add_chat_routes(router, context);
  add_responses_routes(router, context);
  add_messages_routes(router, context);
  add_refused_routes(router, context);
}

}  // namespace foretoken::api
