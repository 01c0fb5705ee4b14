// How vocabulary files spell bytes: each of the 256 bytes is one printable character, so that any
// byte string can stand in a text file.
//
// Bytes 33-126, 161-172 and 174-255 are the characters of the same number; the other 68, in
// increasing order, are U+0100, U+0101, ... (so the space is U+0120).
// Source: the GPT-2 tokenizer (openai/gpt-2, encoder.py); docs/tokenizer.md, "Byte alphabet".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace foretoken::tokenizer {

/// The character that spells a byte.
char32_t byte_symbol(unsigned char byte);

/// The bytes that `spelling` stands for; nothing when a character is outside the alphabet or the
/// text is not UTF-8.
std::optional<std::string> decode_byte_symbols(std::string_view spelling);

}  // namespace foretoken::tokenizer
