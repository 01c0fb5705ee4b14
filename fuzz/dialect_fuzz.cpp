// Bodies of the two other chat dialects: each converter throws RequestError or gives a body in the
// chat layout whose messages and tools are well formed for what reads them next, and whose
// conversation renders or throws TemplateError.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/messages_request.h"
#include "api/request_body.h"
#include "api/responses_events.h"
#include "api/responses_request.h"
#include "base/error.h"
#include "chat/conversation.h"
#include "chat/prompt_renderer.h"

namespace {

using namespace foretoken;
using api::Json;

void render(const Json& chat) {
  static const chat::PromptRenderer kRenderer(
      std::make_shared<const chat::ChatTemplate>(chat::ChatTemplate::builtin_source()));
  if (!chat.at("messages").is_array()) std::abort();
  const auto messages = chat::parse_messages(chat.at("messages"));
  chat::PromptOptions options;
  if (chat.contains("tools")) options.render.tools = chat::normalise_tools(chat.at("tools"));
  options.preserve_reasoning = true;
  options.continue_final = !messages.empty() && messages.back().role == "assistant";
  (void)kRenderer.render(messages, options);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Json body;
  try {
    body = api::parse_body({reinterpret_cast<const char*>(data), size});
  } catch (const RequestError&) {
    return 0;
  }
  const api::Remark remark = [](const std::string&) {};
  for (const auto convert : {api::messages_to_chat, api::responses_to_chat}) {
    try {
      render(convert(body, remark));
    } catch (const RequestError&) {
    }
  }
  (void)api::responses_echo(body);
  return 0;
}
