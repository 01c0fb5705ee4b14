#include "tokenizer/utf8.h"

#include <gtest/gtest.h>

#include "tokenizer/byte_alphabet.h"

namespace foretoken::tokenizer {
namespace {

TEST(Utf8, EveryScalarValueSurvivesWritingAndReading) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(text, code);
    const Utf8Step step = utf8_step(text, 0);
    ASSERT_TRUE(step.valid) << static_cast<unsigned>(code);
    ASSERT_EQ(step.code, code);
    ASSERT_EQ(step.length, text.size());
  }
}

TEST(Utf8, InvalidSequencesHaveMaximalSubparts) {
  const auto expect = [](std::string_view text, std::size_t length, bool truncated) {
    const Utf8Step step = utf8_step(text, 0);
    EXPECT_FALSE(step.valid);
    EXPECT_EQ(step.length, length);
    EXPECT_EQ(step.truncated, truncated);
  };
  expect("\x80", 1, false);
  expect("\xC0\x80", 1, false);          // overlong
  expect("\xE0\x80\x80", 1, false);      // overlong
  expect("\xED\xA0\x80", 1, false);      // surrogate
  expect("\xF4\x90\x80\x80", 1, false);  // above U+10FFFF
  expect("\xF5", 1, false);
  expect("\xE2\x82", 2, true);
  expect("\xE2\x82x", 2, false);
  expect("\xF0\x9F\x98", 3, true);
  expect("\xF0\x9F\xC3\xA9", 2, false);
  expect("\xC3", 1, true);
}

TEST(ByteAlphabet, SpellsSpaceAndNewlineAsGpt2Does) {
  EXPECT_EQ(byte_symbol(' '), 0x120u);
  EXPECT_EQ(byte_symbol('\n'), 0x10Au);
  EXPECT_EQ(byte_symbol('!'), static_cast<char32_t>('!'));
  EXPECT_EQ(byte_symbol(0xAD), 0x143u);
  EXPECT_EQ(byte_symbol(0xFF), 0xFFu);
  EXPECT_EQ(byte_symbol(0), 0x100u);
}

TEST(ByteAlphabet, DecodesWhatItSpellsAndRefusesTheRest) {
  std::string bytes;
  std::string spelling;
  for (unsigned byte = 0; byte < 256; ++byte) {
    bytes += static_cast<char>(byte);
    append_utf8(spelling, byte_symbol(static_cast<unsigned char>(byte)));
  }
  EXPECT_EQ(decode_byte_symbols(spelling), bytes);
  EXPECT_EQ(decode_byte_symbols(" "), std::nullopt);
  EXPECT_EQ(decode_byte_symbols("\xC5\x84"), std::nullopt);  // U+0144, just past the last symbol
  EXPECT_EQ(decode_byte_symbols("\xFF"), std::nullopt);
}

}  // namespace
}  // namespace foretoken::tokenizer
