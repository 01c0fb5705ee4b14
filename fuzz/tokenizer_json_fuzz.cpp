// Any bytes as the files of a Hugging Face tokenizer: reading must give a vocabulary, a FormatError
// or an UnsupportedError, and whatever is accepted must encode any text without losing a byte.
//
// The input is up to three parts separated by zero bytes: tokenizer.json, tokenizer_config.json,
// and a text to encode. The member `"vocab":0` stands for a vocabulary of the 256 bytes and three
// longer tokens, so that seeds stay small and mutations keep it whole.
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/hf_tokenizer_json.h"
#include "tokenizer/nfc.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace {

using namespace foretoken;
using namespace foretoken::tokenizer;

void require(bool good) {
  if (!good) std::abort();
}

std::string take_part(std::string_view& input) {
  const std::size_t end = std::min(input.find('\0'), input.size());
  std::string part(input.substr(0, end));
  input.remove_prefix(std::min(end + 1, input.size()));
  return part;
}

/// Puts the vocabulary in place of `"vocab":0`.
std::string expand_vocab(std::string text) {
  constexpr std::string_view kShort = "\"vocab\":0";
  const std::size_t pos = text.find(kShort);
  if (pos == std::string::npos) return text;
  std::string vocab = "\"vocab\":{";
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(symbol, byte_symbol(static_cast<unsigned char>(byte)));
    if (symbol == "\"" || symbol == "\\") symbol.insert(0, "\\");
    vocab += "\"" + symbol + "\":" + std::to_string(byte) + ",";
  }
  // Results for merges to make.
  vocab += R"("ab":256,"abc":257,"Ġa":258})";
  return text.replace(pos, kShort.size(), vocab);
}

/// True when NFC has nothing to change in any of the valid stretches.
bool is_inert(std::string_view text) {
  static const Nfc nfc;
  for (std::size_t pos = 0; pos < text.size();) {
    const Utf8Step step = utf8_step(text, pos);
    if (step.valid && !nfc.is_inert(step.code)) return false;
    pos += step.length;
  }
  return true;
}

void use(const Tokenizer& tokenizer, const std::string& text) {
  for (const bool parse_special : {true, false}) {
    std::string bytes;
    for (const TokenId id : tokenizer.encode(text, {.parse_special = parse_special})) {
      bytes += tokenizer.piece(id);
      require(parse_special || tokenizer.kind(id) != TokenKind::Control);
    }
    require(!is_inert(text) || bytes == text);
  }
  std::string decoded;
  for (TokenId id = 0; id < tokenizer.n_vocab(); ++id) {
    decoded += tokenizer.decode(std::vector<TokenId>{id});
  }
  for (std::size_t pos = 0; pos < decoded.size();) {
    const Utf8Step step = utf8_step(decoded, pos);
    require(step.valid);
    pos += step.length;
  }
  require(tokenizer.n_real_vocab() <= tokenizer.n_vocab());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  HfTokenizerFiles files{"tokenizer.json", {}, "tokenizer_config.json", {}, {}};
  files.tokenizer_json = expand_vocab(take_part(input));
  if (!input.empty()) files.tokenizer_config_json = take_part(input);
  const std::string text(input);
  try {
    use(Tokenizer(parse_hf_vocabulary(files)), text);
  } catch (const FormatError&) {
  } catch (const UnsupportedError&) {
  }
  return 0;
}
