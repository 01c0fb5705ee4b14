#include "base/text.h"

#include <gtest/gtest.h>

#include <iomanip>
#include <string>

namespace foretoken {
namespace {

TEST(Printable, KeepsUtf8AndEscapesTheRest) {
  EXPECT_EQ(printable("caf\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80"),
            "caf\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80");
  EXPECT_EQ(printable("a\nb\tc\r\\"), "a\\nb\\tc\\r\\\\");
  EXPECT_EQ(printable(std::string_view("\0\x1B[31m\x7F", 7)), "\\x00\\x1b[31m\\x7f");
  EXPECT_EQ(printable("\xC2\x9B"), "\\xc2\\x9b");  // C1: a terminal's CSI
  EXPECT_EQ(printable("\xFF\xC0\xAF\xED\xA0\x80"), "\\xff\\xc0\\xaf\\xed\\xa0\\x80");
  EXPECT_EQ(printable("\xE4\xBD"), "\\xe4\\xbd");  // cut off
}

TEST(Printable, CutsAtACharacterBorder) {
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("ab\xC3\xA9", 3), "ab...");
  EXPECT_EQ(quoted("x y", 9), "'x y'");
}

TEST(Quoted, IsNotTakenForTheStandardOne) {
  std::string text = "a\nb";
  const std::string& constant = text;
  const std::string from_mutable = quoted(text);
  EXPECT_EQ(from_mutable, "'a\\nb'");
  EXPECT_EQ(quoted(constant), from_mutable);
  EXPECT_EQ(quoted(std::string("a\nb")), from_mutable);
  EXPECT_EQ(quoted("a\nb"), from_mutable);
}

TEST(Utf8Length, FollowsTheUnicodeTable) {
  EXPECT_EQ(utf8_length(""), 0U);
  EXPECT_EQ(utf8_length("a"), 1U);
  EXPECT_EQ(utf8_length("\xC1\x81"), 0U);          // overlong
  EXPECT_EQ(utf8_length("\xE0\x9F\x80"), 0U);      // overlong
  EXPECT_EQ(utf8_length("\xED\x9F\xBF"), 3U);      // below the surrogates
  EXPECT_EQ(utf8_length("\xF4\x8F\xBF\xBF"), 4U);  // U+10FFFF
  EXPECT_EQ(utf8_length("\xF4\x90\x80\x80"), 0U);
}

}  // namespace
}  // namespace foretoken
