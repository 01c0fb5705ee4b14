// Whatever a model writes, cut wherever: no crash, the same reply for every cut, and the arguments
// of every complete call are a JSON object.
// Input: one byte of options, one byte that seeds the cuts, then the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "chat/reply_parser.h"

namespace {

using foretoken::chat::Reply;
using foretoken::chat::ReplyParser;
using foretoken::chat::ReplyParserOptions;

const nlohmann::ordered_json& tools() {
  static const nlohmann::ordered_json kTools = nlohmann::ordered_json::parse(R"([
    {"type":"function","function":{"name":"f","parameters":{"properties":{
      "i":{"type":"integer"},"o":{"type":["object","array"]},"b":{"type":"boolean"},
      "n":{"type":["null","string"]},"s":{"type":"string"}}}}}])");
  return kTools;
}

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  ReplyParserOptions options;
  options.starts_in_reasoning = (data[0] & 1) != 0;
  options.parse_tool_calls = (data[0] & 2) == 0;
  options.tools = tools();
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  ReplyParser whole(options);
  whole.feed(text);
  whole.finish();
  ReplyParser cut(options);
  std::uint32_t state = data[1] + 1u;
  for (std::size_t at = 0; at < text.size();) {
    state = state * 1664525u + 1013904223u;
    const std::size_t n = 1 + (state >> 24) % 7;
    cut.feed(text.substr(at, n));
    at += n;
  }
  cut.finish();
  require(whole.reply() == cut.reply());
  for (const Reply::Call& call : whole.reply().calls) {
    require(call.arguments.size() >= 2 && call.arguments.front() == '{' &&
            call.arguments.back() == '}');
    // Text that is not UTF-8 gives what is not JSON; only ASCII is checked to the end.
    bool plain = true;
    for (const char c : text) plain = plain && static_cast<unsigned char>(c) < 0x80;
    if (plain) require(nlohmann::ordered_json::accept(call.arguments));
  }
  return 0;
}
