#include "tokenizer/byte_alphabet.h"

#include <array>

#include "tokenizer/utf8.h"

namespace foretoken::tokenizer {
namespace {

constexpr unsigned kFirstShifted = 0x100;
constexpr unsigned kNumShifted = 68;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Alphabet {
  std::array<char32_t, 256> symbols{};
  std::array<int, kFirstShifted + kNumShifted> bytes{};  // -1: not a symbol

  constexpr Alphabet() {
    bytes.fill(-1);
    unsigned next = kFirstShifted;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const unsigned symbol = stands_for_itself(byte) ? byte : next++;
      symbols[byte] = symbol;
      bytes[symbol] = static_cast<int>(byte);
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

char32_t byte_symbol(unsigned char byte) { return kAlphabet.symbols[byte]; }

std::optional<std::string> decode_byte_symbols(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (std::size_t pos = 0; pos < spelling.size();) {
    const Utf8Step step = utf8_step(spelling, pos);
    if (!step.valid || step.code >= kAlphabet.bytes.size()) return std::nullopt;
    const int byte = kAlphabet.bytes[step.code];
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
    pos += step.length;
  }
  return bytes;
}

}  // namespace foretoken::tokenizer
