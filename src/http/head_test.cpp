// Heads of answers, fields, and the queue of bytes.
#include "http/head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/field.h"
#include "http/output.h"

namespace foretoken::http {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Head, SaysHowLongTheBodyIs) {
  const std::string head = make_head(200, "text/plain", {{"X-A", "1"}}, {{"Vary", "Origin"}}, "me",
                                     {.content_length = 5});
  EXPECT_THAT(head, testing::StartsWith("HTTP/1.1 200 OK\r\nServer: me\r\nDate: "));
  EXPECT_THAT(head, testing::EndsWith("\r\nContent-Type: text/plain\r\nX-A: 1\r\nVary: Origin\r\n"
                                      "Content-Length: 5\r\n\r\n"));
}

TEST(Head, ChunksWhenTheLengthIsUnknown) {
  EXPECT_THAT(make_head(200, "a/b", {}, {}, "me", {.chunked = true, .content_length = {}}),
              HasSubstr("Transfer-Encoding: chunked\r\n"));
}

TEST(Head, StatusesWithoutBodiesSayNothingOfOne) {
  for (const int status : {204, 304}) {
    EXPECT_THAT(make_head(status, "a/b", {}, {}, "me", {.content_length = 0}),
                Not(HasSubstr("Content-")));
  }
}

TEST(Head, StaysReadableWhateverTheStatus) {
  for (const int status : {-1, 0, 100, 199, 600, 100000}) {
    EXPECT_THAT(make_head(status, "", {}, {}, "me", {}), HasSubstr("HTTP/1.1 500 "));
  }
  EXPECT_THAT(make_head(299, "", {}, {}, "me", {}), HasSubstr("HTTP/1.1 299 Unknown"));
}

TEST(Head, WritesDatesAsTheStandardDoes) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(http_date(1709164800), "Thu, 29 Feb 2024 00:00:00 GMT");
}

TEST(Field, ComparesAndSplits) {
  EXPECT_TRUE(same_name("X-Api-KEY", "x-api-key"));
  EXPECT_FALSE(same_name("a", "ab"));
  EXPECT_EQ(trimmed(" \ta b\t "), "a b");
  EXPECT_EQ(trimmed("  "), "");
  std::vector<std::string> elements;
  for_each_element("a, B ,,c", [&](std::string_view e) { elements.emplace_back(e); });
  EXPECT_EQ(elements, (std::vector<std::string>{"a", "B", "c"}));
  EXPECT_EQ(find_header({{"A", "1"}, {"a", "2"}}, "a"), "1");
}

TEST(Output, GivesBackWhatWasAppendedHoweverItIsTaken) {
  for (const std::size_t step : {3UL, 100UL, 70000UL}) {
    Output output;
    std::string expected;
    std::string got;
    for (int i = 0; i < 60; ++i) {
      const std::string piece(static_cast<std::size_t>(i * i * 7), static_cast<char>('a' + i % 26));
      output.append(piece);
      expected += piece;
      const Output::Parts parts = output.front();
      // What is being sent stays in place while more is added.
      output.append("+");
      expected += "+";
      std::string all;
      for (std::size_t k = 0; k < parts.n; ++k) all += parts.items[k];
      const std::string taken = all.substr(0, step);
      got += taken;
      output.consume(taken.size());
      EXPECT_EQ(output.size(), expected.size() - got.size());
    }
    while (!output.empty()) {
      const std::string taken(output.front().items[0].substr(0, step));
      got += taken;
      output.consume(taken.size());
    }
    EXPECT_TRUE(got == expected) << step;
  }
}

}  // namespace
}  // namespace foretoken::http
