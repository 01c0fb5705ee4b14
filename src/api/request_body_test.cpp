#include "api/request_body.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace foretoken::api {
namespace {

std::string refusal(const std::string& text, const BodyLimits& limits = {}) {
  try {
    parse_body(text, limits);
  } catch (const RequestError& error) {
    return error.what();
  }
  return "";
}

TEST(RequestBody, TakesAnObject) { EXPECT_EQ(parse_body(R"({"a": [1, null]})")["a"][0], 1); }

TEST(RequestBody, RefusesWhatIsNoObject) {
  EXPECT_EQ(refusal(""), "the request has no body: a JSON object is expected");
  EXPECT_EQ(refusal("[1]"), "the request body must be a JSON object, not array");
  EXPECT_EQ(refusal("{\"a\": }"), "the request body is not JSON: error at byte 7");
  EXPECT_EQ(refusal("{} x"), "the request body is not JSON: error at byte 4");
  EXPECT_EQ(refusal(std::string("{}\0", 3)), "the request body is not JSON: NUL at byte 3");
  EXPECT_NE(refusal("{\"a\": 1e999}"), "");
}

TEST(RequestBody, RefusesBytesThatAreNotUtf8) {
  EXPECT_EQ(refusal("{\"a\": \"\xff\"}"), "the request body is not UTF-8 at byte 8");
  EXPECT_EQ(refusal("{\"a\": \"\xed\xa0\x80\"}"), "the request body is not UTF-8 at byte 8");
  EXPECT_NE(refusal("{\"a\": \"\\ud800\"}"), "");
}

TEST(RequestBody, BoundsDepthValuesAndKeys) {
  const std::string open(200'000, '[');
  EXPECT_EQ(refusal("{\"a\":" + open), "the request body nests more than 96 levels deep");
  std::string deep = "1";
  for (int i = 0; i < 95; ++i) deep = "[" + deep + "]";
  EXPECT_EQ(refusal("{\"a\":" + deep + "}"), "");
  EXPECT_NE(refusal("{\"a\":[" + deep + "]}"), "");

  EXPECT_EQ(refusal(R"({"a":[1,2,3]})", {.max_values = 5}),
            "the request body holds more than 5 values");
  EXPECT_EQ(refusal(R"({"a":{"b":1,"c":2}, "d":{"e":1,"f":2}})", {.max_keys = 2}), "");
  EXPECT_EQ(refusal(R"({"a":{"b":1,"c":2,"d":3}})", {.max_keys = 2}),
            "an object of the request body has more than 2 keys");
}

}  // namespace
}  // namespace foretoken::api
