// Targets, escapes and dots.
#include "http/url.h"

#include <gtest/gtest.h>

namespace foretoken::http {
namespace {

TEST(Url, DecodesEscapesOnce) {
  EXPECT_EQ(decode_percent("a%20b%2Bc+d"), "a b+c+d");
  EXPECT_EQ(decode_percent("%2541"), "%41");
  EXPECT_EQ(decode_percent("%e2%82%AC"), "\xE2\x82\xAC");
  EXPECT_EQ(decode_form("a+b%2B"), "a b+");
}

TEST(Url, RefusesBadEscapesAndNul) {
  for (const char* text : {"%", "%1", "%g0", "%0g", "a%", "%-1", "%00"}) {
    EXPECT_FALSE(decode_percent(text)) << text;
  }
  EXPECT_FALSE(decode_percent(std::string_view("a\0b", 3)));
}

TEST(Url, ResolvesDots) {
  EXPECT_EQ(normalise_path(""), "/");
  EXPECT_EQ(normalise_path("/"), "/");
  EXPECT_EQ(normalise_path("a"), "/a");
  EXPECT_EQ(normalise_path("/a/"), "/a/");
  EXPECT_EQ(normalise_path("//a///b"), "/a/b");
  EXPECT_EQ(normalise_path("/a/./b/."), "/a/b/");
  EXPECT_EQ(normalise_path("/a/b/.."), "/a/");
  EXPECT_EQ(normalise_path("/a/../.."), "/");
  EXPECT_EQ(normalise_path("/../../x"), "/x");
  EXPECT_EQ(normalise_path("/..."), "/...");
  EXPECT_EQ(normalise_path("/..a/.b"), "/..a/.b");
}

TEST(Url, NeverLeavesADotSegment) {
  // All paths of up to seven of these characters.
  constexpr std::string_view kAlphabet = "./a";
  for (int length = 0; length <= 7; ++length) {
    std::vector<std::size_t> digits(static_cast<std::size_t>(length), 0);
    for (bool more = true; more;) {
      std::string path = "/";
      for (const std::size_t digit : digits) path += kAlphabet[digit];
      const std::string out = normalise_path(path);
      ASSERT_TRUE(out.starts_with('/')) << path;
      const std::string padded = out + "/";
      ASSERT_EQ(padded.find("/../"), std::string::npos) << path;
      ASSERT_EQ(padded.find("/./"), std::string::npos) << path;
      ASSERT_EQ(out.find("//"), std::string::npos) << path;
      ASSERT_EQ(normalise_path(out), out) << path;
      more = false;
      for (std::size_t& digit : digits) {
        if (++digit < kAlphabet.size()) {
          more = true;
          break;
        }
        digit = 0;
      }
    }
  }
}

TEST(Url, ReadsTargets) {
  const auto target = parse_target("/a%2Fb?x=1&y&x=2&&=z&q=a=b#part");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/a/b");
  EXPECT_EQ(target->query.at("x"), "2");
  EXPECT_EQ(target->query.at("y"), "");
  EXPECT_EQ(target->query.at(""), "z");
  EXPECT_EQ(target->query.at("q"), "a=b");
  EXPECT_EQ(parse_target("HTTP://host:1/p?q")->path, "/p");
  EXPECT_EQ(parse_target("http://host")->path, "/");
  EXPECT_EQ(parse_target("http://host?q=1")->query.at("q"), "1");
}

TEST(Url, RefusesOtherForms) {
  for (const char* text : {"", "*", "host:80", "ftp://host/a", "relative", "\\a"}) {
    EXPECT_FALSE(parse_target(text)) << text;
  }
}

}  // namespace
}  // namespace foretoken::http
