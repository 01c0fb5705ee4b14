#include "convert/json_node.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace foretoken::convert {
namespace {

std::string object_of(int n_members) {
  std::string text = "{";
  for (int i = 0; i < n_members; ++i) text += fmt::format("{}\"m{}\":{}", i > 0 ? "," : "", i, i);
  return text + "}";
}

TEST(JsonNode, MembersKeepTheirOrder) {
  const auto json = parse_json_object(R"({"b": 1, "a": {"z": 2, "y": 3}})", "file");
  EXPECT_EQ(json.dump(), R"({"b":1,"a":{"z":2,"y":3}})");
}

TEST(JsonNode, ASkippedMemberIsLeftOutWithAllItHolds) {
  const std::string text = R"({"a": {"model": 1}, "model": {"vocab": )" + object_of(30'000) +
                           R"(, "merges": [["a", "b"]]}, "b": [{"c": 2}]})";
  const auto json = parse_json_object(text, "file", "model");
  EXPECT_EQ(json.dump(), R"({"a":{"model":1},"b":[{"c":2}]})");
}

TEST(JsonNode, ASkippedMemberIsStillChecked) {
  EXPECT_THROW(parse_json_object(R"({"model": {"vocab": }, "b": 1})", "file", "model"),
               FormatError);
}

TEST(JsonNode, RefusesObjectsThatWouldTakeForever) {
  EXPECT_NO_THROW(parse_json_object(object_of(20'000), "file"));
  EXPECT_THROW(parse_json_object(object_of(20'001), "file"), FormatError);
  // After a skipped member counting goes on.
  const std::string behind = R"({"model": {}, "b": )" + object_of(20'001) + "}";
  EXPECT_THROW(parse_json_object(behind, "file", "model"), FormatError);
}

TEST(JsonNode, RefusesDeepNesting) {
  const std::string deep = "{\"a\":" + std::string(70, '[') + std::string(70, ']') + "}";
  EXPECT_THROW(parse_json_object(deep, "file"), FormatError);
}

}  // namespace
}  // namespace foretoken::convert
