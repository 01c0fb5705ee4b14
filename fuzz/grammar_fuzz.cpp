// Any text as a grammar, any text through it: no crash, no hang, and what the matcher says of bytes
// agrees with itself when the memory is tidied and when the grammar is printed and read again.
// Input: the grammar, a zero byte, the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "grammar/gbnf.h"
#include "grammar/matcher.h"

namespace foretoken::grammar {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

Program compile_text(std::string_view text, std::string* printed) {
  Rules rules;
  GbnfOptions options;
  options.n_tokens = 1000;
  options.find_token = [](std::string_view spelling) {
    return spelling == "<think>" ? std::optional<TokenId>(7) : std::nullopt;
  };
  parse_gbnf(rules, text, options);
  const RuleId root = require_root(rules);
  Program program = compile(rules, {rules.rule(root)});
  if (printed != nullptr) *printed = to_gbnf(rules, root);
  return program;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = input.find('\0');
  const std::string_view text =
      zero == std::string_view::npos ? std::string_view("") : input.substr(zero + 1);
  try {
    std::string printed;
    Matcher matcher(compile_text(input.substr(0, zero), &printed));
    Matcher again(compile_text(printed, nullptr));
    StateId state = matcher.start(0);
    StateId other = again.start(0);
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      require(matcher.first_bytes(state) == again.first_bytes(other));
      require(matcher.complete(state) == again.complete(other));
      state = matcher.advance(state, byte);
      other = again.advance(other, byte);
      (void)matcher.find_run(state, 64, 1);
      StateId* const live[] = {&other};
      if (byte % 8 == 0) again.compact(live);
      require((state == Matcher::kDead) == (other == Matcher::kDead));
      if (state == Matcher::kDead) break;
    }
  } catch (const RequestError&) {
  }
  return 0;
}

}  // namespace foretoken::grammar
