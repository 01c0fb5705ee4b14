#include "convert/json_edit.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace foretoken::convert {
namespace {

std::string set(std::string_view text, std::string_view object, std::string_view value = "1") {
  return set_json_member(text, object, "n", value, "config.json");
}

TEST(JsonEdit, ReplacesAValueAndNothingElse) {
  EXPECT_EQ(set(R"({ "a":1e-06,"n" :  0 , "b":[1, 2]})", ""),
            R"({ "a":1e-06,"n" :  1 , "b":[1, 2]})");
  EXPECT_EQ(set(R"({"n":{"x":["}",{"y":2}]},"z":3})", ""), R"({"n":1,"z":3})");
  EXPECT_EQ(set(R"({"n":null})", "", "\"text\""), R"({"n":"text"})");
}

TEST(JsonEdit, AppendsAMissingMemberIndentedLikeTheFirst) {
  EXPECT_EQ(set("{\n    \"a\": 1,\n    \"b\": 2\n}\n", ""),
            "{\n    \"a\": 1,\n    \"b\": 2,\n    \"n\": 1\n}\n");
  EXPECT_EQ(set("{}", ""), "{\"n\": 1}");
}

TEST(JsonEdit, LooksIntoTheNamedObjectOnly) {
  EXPECT_EQ(set(R"({"n":5,"t":{"n":0,"u":{"n":7}},"v":{"n":8}})", "t"),
            R"({"n":5,"t":{"n":1,"u":{"n":7}},"v":{"n":8}})");
  EXPECT_EQ(set(R"({"n":5,"t":{"u":{"n":7}}})", "t"), R"({"n":5,"t":{"u":{"n":7},"n": 1}})");
}

TEST(JsonEdit, UnderstandsStringsThatLookLikeStructure) {
  EXPECT_EQ(set(R"({"a":"\"n\":2,}\\","n":3})", ""), R"({"a":"\"n\":2,}\\","n":1})");
}

TEST(JsonEdit, RefusesWhatItCannotEditForSure) {
  EXPECT_THROW(set("[]", ""), FormatError);
  EXPECT_THROW(set("{\"n\":1", ""), FormatError);
  EXPECT_THROW(set("{\"a\":1}", "t"), FormatError);
  EXPECT_THROW(set("{\"t\":1}", "t"), FormatError);
  // The same name, written with an escape.
  EXPECT_THROW(set(R"({"\u006e":0})", ""), FormatError);
}

}  // namespace
}  // namespace foretoken::convert
