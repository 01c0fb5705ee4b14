// Any JSON as a schema, and as the schema of a tool's parameters: no crash, no hang; what comes out
// is a grammar that compiles, and the texts found along its first allowed bytes are JSON where they
// are complete.
// Input: a seed byte, then the schema.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "grammar/constraints.h"
#include "grammar/gbnf.h"
#include "grammar/matcher.h"
#include "grammar/tool_calls.h"
#include "tokenizer/test_vocabulary.h"

namespace foretoken::grammar {
namespace {

using Json = nlohmann::ordered_json;

void require(bool condition) {
  if (!condition) std::abort();
}

/// Walks along allowed bytes; every complete text on the way is JSON.
void walk(Matcher& matcher, std::uint32_t seed) {
  std::string text;
  StateId state = matcher.start(0);
  for (int step = 0; step < 400; ++step) {
    if (matcher.complete(state)) require(Json::accept(text));
    const std::bitset<256>& first = matcher.first_bytes(state);
    if (first.none()) break;
    seed = seed * 1664525u + 1013904223u;
    std::size_t byte = seed >> 24;
    while (!first.test(byte)) byte = (byte + 1) % 256;
    // Closing what is open, now and then, leads to complete texts.
    for (const char closing : std::string_view("\"}]")) {
      if ((seed >> 8) % 3 == 0 && first.test(static_cast<unsigned char>(closing))) {
        byte = static_cast<unsigned char>(closing);
      }
    }
    text.push_back(static_cast<char>(byte));
    state = matcher.advance(state, static_cast<unsigned char>(byte));
    require(state != Matcher::kDead);
  }
}

const std::shared_ptr<const TokenTrie>& trie() {
  static const tokenizer::Tokenizer kTokenizer(tokenizer::bytes_vocabulary());
  static const std::shared_ptr<const TokenTrie> kTrie = make_token_trie(kTokenizer);
  return kTrie;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Json schema = Json::parse(text, nullptr, false);
  if (schema.is_discarded()) return 0;
  try {
    const std::string gbnf = json_schema_to_gbnf(schema);
    Rules rules;
    parse_gbnf(rules, gbnf);
    Matcher matcher(compile(rules, {rules.rule(require_root(rules))}));
    walk(matcher, data[0]);
  } catch (const RequestError&) {
  }
  try {
    ReplyConstraintOptions options;
    options.tool_choice = ToolChoice::Required;
    options.tools = Json::array(
        {Json::object({{"function", Json::object({{"name", "f"}, {"parameters", schema}})}})});
    const auto constraint = make_reply_constraint(trie(), options);
    for (const char c : std::string_view("<tool_call>\n<function=f>\n<")) {
      require(constraint->allows(c));
      constraint->accept(c);
    }
  } catch (const RequestError&) {
  }
  return 0;
}

}  // namespace foretoken::grammar
