#include "api/text_stream.h"

#include <gtest/gtest.h>

#include "api/test_server.h"

namespace foretoken::api {
namespace {

const tokenizer::Tokenizer& vocabulary() {
  static const tokenizer::Tokenizer tokenizer = make_test_tokenizer();
  return tokenizer;
}

struct Outcome {
  std::vector<std::string> parts;
  std::string text;
  std::string word;
  bool ended = false;
};

Outcome run(const std::string& text, TextStreamOptions options) {
  TextStream stream(vocabulary(), std::move(options));
  Outcome out;
  for (const TokenId token : vocabulary().encode(text)) {
    out.parts.push_back(stream.push(token));
    out.text += out.parts.back();
    if (stream.ended()) break;
  }
  out.ended = stream.ended();
  out.text += stream.finish();
  out.word = stream.stopping_word();
  return out;
}

TEST(TextStream, GivesWholeCharactersOnly) {
  const Outcome out = run("a\u00e9\u4e2d", {});
  EXPECT_EQ(out.parts, (std::vector<std::string>{"a", "", "\u00e9", "", "", "\u4e2d"}));
}

TEST(TextStream, EndsHalfACharacterWithAReplacement) {
  TextStream stream(vocabulary(), {});
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

TEST(TextStream, HoldsBackWhatMayBecomeAStopString) {
  const Outcome out = run("ab EN ENDE", {.stop = {"END"}});
  EXPECT_EQ(out.parts, (std::vector<std::string>{"a", "b", " ", "", "", "EN ", "", "", ""}));
  EXPECT_EQ(out.text, "ab EN ");
  EXPECT_EQ(out.word, "END");
  EXPECT_TRUE(out.ended);
}

TEST(TextStream, GivesBackAtTheEndWhatDidNotBecomeAStopString) {
  const Outcome out = run("abEN", {.stop = {"END"}});
  EXPECT_EQ(out.text, "abEN");
  EXPECT_EQ(out.word, "");
  EXPECT_FALSE(out.ended);
}

TEST(TextStream, TakesTheEarliestOfSeveralStopStrings) {
  EXPECT_EQ(run("xxabcd", {.stop = {"cd", "bc"}}).word, "bc");
  EXPECT_EQ(run("xxabcd", {.stop = {"cd", "bc"}}).text, "xxa");
}

TEST(TextStream, FindsStopStringsWhoseBeginningRepeats) {
  EXPECT_EQ(run("aaab", {.stop = {"aab"}}).text, "a");
  EXPECT_EQ(run("abababc", {.stop = {"ababc"}}).text, "ab");
}

TEST(TextStream, FindsStopStringsOfSeveralByteCharacters) {
  const Outcome out = run("a\u00e9\u00e8b", {.stop = {"\u00e9\u00e8"}});
  EXPECT_EQ(out.text, "a");
  EXPECT_EQ(out.word, "\u00e9\u00e8");
}

TEST(TextStream, HidesControlTokensUnlessAskedFor) {
  EXPECT_EQ(run("a<|im_start|>b<think>", {}).text, "ab<think>");
  EXPECT_EQ(run("a<|im_start|>b", {.stop = {}, .show_control = true}).text, "a<|im_start|>b");
}

TEST(TextStream, EndsBeforeALineThatIsIndentedLess) {
  const Outcome out = run("  a\n    b\n  c", {.stop = {}, .n_indent = 3});
  EXPECT_EQ(out.text, "  a\n    b\n  ");
  EXPECT_TRUE(out.ended);
  EXPECT_EQ(out.word, "");
  EXPECT_FALSE(run("  a\n    b\n\n    c", {.stop = {}, .n_indent = 3}).ended);
}

}  // namespace
}  // namespace foretoken::api
