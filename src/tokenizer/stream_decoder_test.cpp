#include "tokenizer/stream_decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "tokenizer/test_vocabulary.h"

namespace foretoken::tokenizer {
namespace {

constexpr std::string_view kFffd = "\uFFFD";

/// Bytes as tokens, <end> as a control token (256) and <think> as a visible one (257).
Tokenizer byte_tokenizer() {
  Vocabulary vocabulary = bytes_vocabulary();
  add_token(vocabulary, "<end>", TokenKind::Control);
  add_token(vocabulary, "<think>", TokenKind::UserDefined);
  return Tokenizer(vocabulary);
}

std::string push_all(StreamDecoder& decoder, std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += decoder.push(static_cast<unsigned char>(c));
  return text;
}

std::string decode_bytes(std::string_view bytes) {
  const Tokenizer tokenizer = byte_tokenizer();
  StreamDecoder decoder(tokenizer);
  const std::string text = push_all(decoder, bytes);
  return text + decoder.flush();
}

TEST(StreamDecoder, WaitsForTheLastByteOfACharacter) {
  const Tokenizer tokenizer = byte_tokenizer();
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(push_all(decoder, "a\xF0\x9F\x98"), "a");
  EXPECT_EQ(decoder.push(0x80), "\U0001F600");
  EXPECT_EQ(decoder.flush(), "");
}

TEST(StreamDecoder, ReplacesEachMaximalSubpartOnce) {
  const std::string r(kFffd);
  // The example of the Unicode standard, table 3-8.
  EXPECT_EQ(decode_bytes("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(decode_bytes("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(decode_bytes("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(decode_bytes("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
}

TEST(StreamDecoder, FlushEndsAnUnfinishedCharacterAndStartsAfresh) {
  const Tokenizer tokenizer = byte_tokenizer();
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(push_all(decoder, "\xE4\xB8"), "");
  EXPECT_EQ(decoder.flush(), kFffd);
  EXPECT_EQ(decoder.flush(), "");
  EXPECT_EQ(push_all(decoder, "\xC3\xA9"), "\u00E9");
}

TEST(StreamDecoder, HidesControlTokensOnlyAndOnlyWhenAsked) {
  const Tokenizer tokenizer = byte_tokenizer();
  StreamDecoder hiding(tokenizer);
  EXPECT_EQ(hiding.push(256), "");
  EXPECT_EQ(hiding.push(257), "<think>");
  StreamDecoder showing(tokenizer, false);
  EXPECT_EQ(showing.push(256), "<end>");
}

TEST(StreamDecoder, RefusesIdsOutsideTheVocabulary) {
  const Tokenizer tokenizer = byte_tokenizer();
  StreamDecoder decoder(tokenizer);
  EXPECT_THROW(decoder.push(-1), RequestError);
  EXPECT_THROW(decoder.push(258), RequestError);
}

TEST(StreamDecoder, EveryOutputIsValidUtf8WhateverTheBytes) {
  const Tokenizer tokenizer = byte_tokenizer();
  std::mt19937 rng(5);
  constexpr std::string_view kBytes = "a\x80\x9F\xA0\xBF\xC2\xE0\xE4\xED\xF0\xF4\xF5\xFF";
  for (int round = 0; round < 2000; ++round) {
    StreamDecoder decoder(tokenizer);
    std::string all;
    for (int i = 0; i < 20; ++i) {
      const auto id = static_cast<unsigned char>(kBytes[rng() % kBytes.size()]);
      const std::string text = decoder.push(id);
      for (std::size_t pos = 0; pos < text.size();) {
        const Utf8Step step = utf8_step(text, pos);
        ASSERT_TRUE(step.valid);
        pos += step.length;
      }
    }
  }
}

}  // namespace
}  // namespace foretoken::tokenizer
