// Templates from hostile model files: parsing and rendering either work or throw TemplateError,
// within small limits, without leaks or undefined behaviour.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "chat/jinja/program.h"

namespace {

const nlohmann::ordered_json& messages() {
  static const nlohmann::ordered_json kMessages = nlohmann::ordered_json::parse(R"([
    {"role":"system","content":" S\n"},{"role":"user","content":[{"type":"text","text":"Grüße"}]},
    {"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[
      {"function":{"name":"f","arguments":{"a":1,"b":[1.5,null,true],"c":{"d":"e"}}}}]},
    {"role":"tool","content":"<tool_response>"}])");
  return kMessages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foretoken::chat;
  const jinja::Limits limits{.max_source_bytes = 1 << 16,
                             .max_steps = 20'000,
                             .max_bytes = std::size_t{4} << 20,
                             .max_depth = 400,
                             .max_value_depth = 128};
  const nlohmann::ordered_json yes = true;
  try {
    const jinja::Program program({reinterpret_cast<const char*>(data), size}, limits);
    (void)program.render({{"messages", &messages(), false},
                          {"tools", &messages(), false},
                          {"add_generation_prompt", &yes, true}});
  } catch (const TemplateError&) {
  }
  return 0;
}
