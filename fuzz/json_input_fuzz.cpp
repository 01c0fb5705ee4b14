// Messages as a request carries them: parsing throws RequestError or gives a conversation that
// renders or throws TemplateError, and that reads back equal from its own JSON.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "chat/chat_template.h"
#include "chat/conversation.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foretoken;
  static const chat::ChatTemplate kTemplate(chat::ChatTemplate::builtin_source());
  try {
    std::vector<chat::Message> messages =
        chat::parse_messages_text({reinterpret_cast<const char*>(data), size});
    const nlohmann::ordered_json json = chat::to_json(messages);
    if (chat::to_json(chat::parse_messages(json)) != json) std::abort();
    chat::merge_system_messages(messages);
    chat::RenderOptions options;
    options.tools = json;  // any JSON will do
    (void)kTemplate.render(chat::to_json(messages), options);
    (void)chat::normalise_tools(json);
  } catch (const RequestError&) {
  }
  return 0;
}
