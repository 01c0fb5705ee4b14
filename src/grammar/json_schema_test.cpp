// JSON schemas: for each keyword, documents that must be accepted and texts that must not.
#include "grammar/json_schema.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"
#include "grammar/test_grammar.h"

namespace foretoken::grammar {
namespace {

Json parse(std::string_view text) { return Json::parse(text); }

struct Case {
  const char* schema;
  std::vector<std::string> yes;
  std::vector<std::string> no;
};

void check(const Case& c) {
  const std::string gbnf = json_schema_to_gbnf(parse(c.schema));
  for (const std::string& text : c.yes) {
    EXPECT_TRUE(accepts(gbnf, text)) << c.schema << "\n" << text << "\n" << gbnf;
  }
  for (const std::string& text : c.no) {
    EXPECT_FALSE(accepts(gbnf, text)) << c.schema << "\n" << text << "\n" << gbnf;
  }
}

std::string error_of(const Json& schema) {
  return request_error([&] {
    const std::string gbnf = json_schema_to_gbnf(schema);
    compile_gbnf(gbnf);
  });
}

TEST(JsonSchema, NullMeansAnyObject) {
  const std::string gbnf = json_schema_to_gbnf(nullptr);
  EXPECT_TRUE(accepts(gbnf, R"({"a": [1, {"b": null}], "c": "x"})"));
  EXPECT_TRUE(accepts(gbnf, "{}"));
  EXPECT_FALSE(accepts(gbnf, "[]"));
}

TEST(JsonSchema, AnyValue) {
  for (const char* schema : {"{}", "true", R"({"title": "x", "description": "y", "default": 1})"}) {
    check({schema,
           {"1", "-0.5e+3", "\"s\"", "null", "true", "[]", "{}", "[1,2, [ ] ]", R"({"a":{"b":[]}})",
            "[\n  1,\n  2\n]", R"("é\n\u00e9\ud83d\ude00")"},
           {"", "01", "1.", "tru", "[1,]", "{a:1}", "\"\n\"", "\"", R"("\x")", R"("\ud83d")",
            R"("\ude00")", " 1", "1 "}});
  }
}

TEST(JsonSchema, Types) {
  check({R"({"type":"string"})", {"\"\"", R"("a\"b\\")"}, {"1", "null", "\"a"}});
  check({R"({"type":"integer"})", {"0", "-12", "1234567890123456"}, {"1.5", "00", "\"1\"", "-"}});
  check({R"({"type":"number"})", {"0", "-1.25", "1e5", "2E-07"}, {"1.", ".5", "+1", "1e"}});
  check({R"({"type":"boolean"})", {"true", "false"}, {"True", "1"}});
  check({R"({"type":"null"})", {"null"}, {"None", ""}});
  check({R"({"type":["integer","null"]})", {"5", "null"}, {"\"5\"", "true"}});
  check({R"({"type":["string","object"],"properties":{"a":{"type":"null"}}})",
         {"\"x\"", R"({"a":null})", "{}"},
         {R"({"a":1})", "1"}});
}

TEST(JsonSchema, WhiteSpaceIsCompactOrUsual) {
  check({R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}}})",
         {R"({"a":[1,2]})", R"({"a": [1, 2]})", "{\n  \"a\": [\n    1,\n    2\n  ]\n}"},
         {"{   \"a\":[]}", "{\"a\":[1  ,2]}", "\n{}"}});
}

TEST(JsonSchema, PropertiesInOrderOptionalOnesInAnyPresence) {
  check({R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"},
             "c":{"type":"integer"}},"required":["b"]})",
         {R"({"b":1})", R"({"a":1,"b":2})", R"({"b":1,"c":2})", R"({"a":1,"b":2,"c":3})"},
         {"{}", R"({"a":1})", R"({"b":1,"a":2})", R"({"b":1,})", R"({,"b":1})", R"({"b":1,"d":2})",
          R"({"b":1,"b":1})", R"({"b":"1"})"}});
  check({R"({"properties":{"a":{},"b":{}}})",
         {"{}", R"({"a":1})", R"({"b":[]})", R"({"a":null,"b":1})"},
         {R"({"b":1,"a":1})", R"({"c":1})"}});
  check({R"({"type":"object","properties":{"x":{"type":"null"}},"required":["x","y"],
             "additionalProperties":true})",
         {R"({"x":null,"y":1})", R"({"x":null,"y":"s","z":2})"},
         {R"({"x":null})", R"({"y":1})"}});
}

TEST(JsonSchema, AdditionalProperties) {
  check({R"({"type":"object"})", {"{}", R"({"a":1,"b":[2]})"}, {"[]", R"({"a"})"}});
  check({R"({"type":"object","additionalProperties":false})", {"{}", "{ }"}, {R"({"a":1})"}});
  check({R"({"type":"object","additionalProperties":{"type":"integer"}})",
         {"{}", R"({"a":1,"b":2})"},
         {R"({"a":"1"})"}});
  check({R"({"type":"object","properties":{"ab":{"type":"integer"},"é":{"type":"null"}},
             "additionalProperties":{"type":"string"}})",
         {R"({"ab":1})", R"({"a":"x"})", R"({"abc":"x"})", R"({"ab":1,"é":null,"éa":"y","":"z"})",
          R"({"b\n":"x"})"},
         {R"({"ab":"x"})", R"({"é":"x"})", R"({"a":1})"}});
}

TEST(JsonSchema, Arrays) {
  check({R"({"type":"array","items":{"type":"integer"}})", {"[]", "[1]", "[1,2,3]"}, {"[\"a\"]"}});
  check({R"({"items":{"type":"integer"},"minItems":2,"maxItems":3})",
         {"[1,2]", "[1,2,3]"},
         {"[]", "[1]", "[1,2,3,4]"}});
  check({R"({"type":"array","minItems":1})", {"[null]", "[1,\"a\"]"}, {"[]"}});
  check({R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}});
  check({R"({"type":"array","maxItems":1,"items":{"const":1}})", {"[]", "[1]"}, {"[1,1]"}});
  check({R"({"prefixItems":[{"type":"integer"},{"type":"string"}]})",
         {R"([1,"a"])"},
         {"[1]", R"([1,"a",2])", R"(["a",1])"}});
  check({R"({"prefixItems":[{"type":"integer"}],"items":{"type":"null"},"minItems":2})",
         {"[1,null]", "[1,null,null]"},
         {"[1]", "[1,2]"}});
  check({R"({"items":[{"type":"integer"},{"type":"null"}]})", {"[1,null]"}, {"[1]", "[null,1]"}});
}

TEST(JsonSchema, EnumAndConst) {
  check({R"({"enum":["red","green",1,null,{"a":[1]},"re\"d"]})",
         {R"("red")", R"("green")", "1", "null", R"({"a":[1]})", R"("re\"d")"},
         {R"("re")", R"("blue")", "2", "red"}});
  check({R"({"const":"x"})", {R"("x")"}, {R"("y")"}});
  check({R"({"const":["a",1.5]})", {R"(["a",1.5])"}, {R"(["a"])"}});
  check({R"({"type":"string","enum":["a","b"]})", {R"("a")"}, {R"("c")"}});
}

TEST(JsonSchema, Choices) {
  for (const char* key : {"anyOf", "oneOf"}) {
    check({(std::string("{\"") + key + R"(":[{"type":"integer"},{"type":"string"}]})").c_str(),
           {"1", "\"a\""},
           {"null", "1.5"}});
  }
  check({R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},
             "anyOf":[{"required":["a"]},{"required":["b"]}]})",
         {R"({"a":1})", R"({"b":1})", R"({"a":1,"b":2})"},
         {"{}"}});
}

TEST(JsonSchema, AllOfMerges) {
  check({R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},
                      {"properties":{"b":{"type":"string"}},"required":["b"]}]})",
         {R"({"a":1,"b":"x"})"},
         {R"({"a":1})", R"({"b":"x"})"}});
  check({R"({"type":"integer","allOf":[{"minimum":3},{"maximum":10},{"minimum":5}]})",
         {"5", "10"},
         {"4", "11"}});
  check({R"({"allOf":[{"enum":["a","b","c"]},{"enum":["b","c","d"]}]})", {R"("b")"}, {R"("a")"}});
  check({R"({"$defs":{"base":{"properties":{"id":{"type":"integer"}},"required":["id"]}},
             "allOf":[{"$ref":"#/$defs/base"},{"properties":{"n":{"type":"null"}}}]})",
         {R"({"id":1,"n":null})", R"({"id":1})"},
         {R"({"n":null})"}});
  check({R"({"allOf":[{"anyOf":[{"type":"integer"},{"type":"string"}]},
                      {"anyOf":[{"type":"number"},{"type":"integer"}]}]})",
         {},
         {"\"a\"", "null"}});
}

TEST(JsonSchema, References) {
  check({R"({"$defs":{"n":{"type":"integer"},"a/b":{"const":1}},"type":"array",
             "prefixItems":[{"$ref":"#/$defs/n"},{"$ref":"#/$defs/a~1b"},
                            {"$ref":"#/prefixItems/0"}]})",
         {"[5,1,7]"},
         {"[5,2,7]"}});
  check({R"({"definitions":{"tree":{"type":"object","properties":{"v":{"type":"integer"},
             "kids":{"type":"array","items":{"$ref":"#/definitions/tree"}}},"required":["v"]}},
             "$ref":"#/definitions/tree"})",
         {R"({"v":1})", R"({"v":1,"kids":[{"v":2,"kids":[]},{"v":3}]})"},
         {R"({"v":1,"kids":[{}]})"}});
  check({R"({"type":"object","properties":{"next":{"$ref":"#"}}})",
         {"{}", R"({"next":{"next":{}}})"},
         {R"({"next":1})"}});
  EXPECT_NE(error_of(parse(R"({"$ref":"https://example.com/x"})")).find("#/$ref"),
            std::string::npos);
  EXPECT_NE(error_of(parse(R"({"properties":{"a":{"$ref":"#/$defs/none"}}})"))
                .find("#/properties/a/$ref"),
            std::string::npos);
  EXPECT_NE(error_of(parse(R"({"$defs":{"a":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"})")), "");
  EXPECT_NE(error_of(parse(R"({"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"},{"type":"null"}]},
      "b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"})")),
            "");
  EXPECT_NE(error_of(parse(R"({"allOf":[{"$ref":"#"}]})")), "");
}

TEST(JsonSchema, Strings) {
  check({R"({"type":"string","minLength":2,"maxLength":3})",
         {R"("ab")", R"("éé")", R"("a\n中")", R"("\ud83d\ude00x")"},
         {R"("a")", R"("abcd")", "\"\""}});
  check({R"({"minLength":1})", {R"("a")"}, {"\"\""}});
  check({R"({"type":"string","format":"date"})", {R"("2026-11-23")"}, {R"("2026-13-01")"}});
  check({R"({"type":"string","format":"time"})",
         {R"("12:34:56Z")", R"("23:59:59.123+02:00")"},
         {R"("24:00:00Z")", R"("12:34")"}});
  check({R"({"type":"string","format":"date-time"})",
         {R"("2026-11-23T12:34:56Z")"},
         {R"("2026-11-23")"}});
  check({R"({"type":"string","format":"uuid"})",
         {R"("123e4567-e89b-12d3-a456-426614174000")"},
         {R"("123e4567")"}});
  check({R"({"type":"string","format":"email"})", {R"("anything")"}, {"1"}});
}

TEST(JsonSchema, Patterns) {
  check({R"({"type":"string","pattern":"^[A-Z]{2}-\\d+$"})",
         {R"("AB-12")"},
         {R"("AB-")", R"("ab-1")"}});
  check(
      {R"({"pattern":"^(foo|ba[rz])+(?:x?)$"})", {R"("foobarx")", R"("baz")"}, {R"("x")", "\"\""}});
  check({R"({"pattern":"^.\\.\\/\\w\\s\\S$"})", {R"("é./_ !")"}, {R"("éx/_ !")"}});
  check({R"({"pattern":"^[^\"a]\"\\\\$"})", {R"("b\"\\")", R"("\\\"\\")"}, {R"("a\"\\")"}});
  check({R"({"pattern":"b"})", {R"("abc")", R"("b")"}, {R"("ac")"}});
  check({R"({"pattern":"^a{2}b{1,}c{0,1}d{,}$"})",
         {R"("aabbcd{,}")", R"("aabd{,}")"},
         {R"("abd{,}")"}});
  check({R"({"pattern":"^\\u0041\\x42[\\u0043-\\x44]$"})", {R"("ABC")"}, {R"("ABE")"}});
  // No grammar says these: any string.
  for (const char* pattern : {"^(?=a)b$", R"(^(a)\\1$)", R"(\\bword)", "^a|b$", "^\\\\p{L}$"}) {
    check({(std::string(R"({"pattern":")") + pattern + "\"}").c_str(), {R"("zz")"}, {"1"}});
  }
  for (const char* pattern : {"(", ")", "[a", "a**", "*a", "[b-a]", "a{2,1}", "\\\\"}) {
    EXPECT_NE(error_of(Json::object({{"pattern", parse(std::string("\"") + pattern + "\"")}})), "")
        << pattern;
  }
}

TEST(JsonSchema, IntegerBoundsAreExact) {
  const auto check_range = [](const Json& schema, std::int64_t lo, std::int64_t hi) {
    const std::string gbnf = json_schema_to_gbnf(schema);
    for (std::int64_t n = -1200; n <= 1200; ++n) {
      ASSERT_EQ(accepts(gbnf, std::to_string(n)), lo <= n && n <= hi) << schema << n << "\n"
                                                                      << gbnf;
    }
    ASSERT_FALSE(accepts(gbnf, "-0") || accepts(gbnf, "007") || accepts(gbnf, ""));
  };
  const auto range = [](std::int64_t lo, std::int64_t hi) {
    return Json::object({{"type", "integer"}, {"minimum", lo}, {"maximum", hi}});
  };
  for (const auto& [lo, hi] : std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 0},
                                                                                 {0, 9},
                                                                                 {1, 10},
                                                                                 {7, 123},
                                                                                 {99, 1001},
                                                                                 {-5, 5},
                                                                                 {-123, -45},
                                                                                 {-1000, 17},
                                                                                 {100, 999},
                                                                                 {-1, 0},
                                                                                 {10, 10},
                                                                                 {305, 310}}) {
    check_range(range(lo, hi), lo, hi);
  }
  check_range(parse(R"({"type":"integer","minimum":12})"), 12, 1 << 30);
  check_range(parse(R"({"type":"integer","maximum":-12})"), -(1 << 30), -12);
  check_range(parse(R"({"type":"integer","exclusiveMinimum":3,"exclusiveMaximum":20})"), 4, 19);
  check_range(parse(R"({"type":"integer","minimum":3,"exclusiveMinimum":true})"), 4, 1 << 30);
  check_range(parse(R"({"type":"integer","minimum":2.5,"maximum":7.5})"), 3, 7);
  check({R"({"type":"integer","minimum":-9223372036854775808,"maximum":9223372036854775807})",
         {"-9223372036854775808", "9223372036854775807"},
         {"-9223372036854775809", "9223372036854775808"}});
  check({R"({"type":"integer","minimum":0})", {"9999999999999999"}, {"-1"}});
  EXPECT_NE(error_of(range(5, 4)), "");
}

TEST(JsonSchema, KeywordsBeyondGrammarsRestrictNothing) {
  check({R"({"type":"number","minimum":5,"multipleOf":2})", {"1", "6"}, {"\"6\""}});
  check({R"({"type":"array","uniqueItems":true,"contains":{"const":1},"items":{"type":"integer"}})",
         {"[2,2]"},
         {"[\"a\"]"}});
  check({R"({"not":{"type":"string"},"if":{},"then":{},"x-custom":1})", {"\"s\"", "1"}, {""}});
}

TEST(JsonSchema, NamesThePathOfWhatIsWrong) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"type":"int"})", "#/type"},
      {R"({"properties":{"a":{"type":"object","properties":[]}}})", "#/properties/a/properties"},
      {R"({"anyOf":[{"type":"string"},5]})", "#/anyOf/1"},
      {R"({"items":{"enum":[]}})", "#/items/enum"},
      {R"({"type":"string","minLength":-1})", "#/minLength"},
      {R"({"type":"array","minItems":"2"})", "#/minItems"},
      {R"({"type":"array","minItems":3,"maxItems":2})", "#"},
      {R"({"type":[]})", "#/type"},
      {R"({"type":"object","additionalProperties":3})", "#/additionalProperties"},
      {R"({"allOf":[]})", "#/allOf"},
      {R"({"allOf":[{"type":"string"},{"type":"integer"}]})", "#/allOf/1"},
      {R"([1])", "#"},
      {"false", "#"},
      {"\"x\"", "#"}};
  for (const auto& [schema, path] : cases) {
    const std::string error = error_of(parse(schema));
    EXPECT_NE(error.find(std::string(path) + ":"), std::string::npos) << schema << "\n" << error;
  }
}

TEST(JsonSchema, BombsAreRefusedQuickly) {
  const auto expect_quick_error = [](const Json& schema, const char* what) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_NE(error_of(schema), "") << what;
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    // They take some ten milliseconds; a busy machine and sanitizers get a hundred times that.
    EXPECT_LT(time.count(), 5.0) << what;
  };
  Json values = Json::array();
  for (int i = 0; i < 1'000'000; ++i) values.push_back(i);
  expect_quick_error(Json::object({{"enum", values}}), "a million values");

  Json deep = Json::object({{"type", "null"}});
  for (int i = 0; i < 10'000; ++i) deep = Json::object({{"items", std::move(deep)}});
  expect_quick_error(deep, "deep nesting");

  // Each level names the one below twice; merged, that doubles forty times.
  Json defs = Json::object({{"d0", Json::object({{"properties", {{"x", {{"type", "null"}}}}}})}});
  for (int i = 1; i < 40; ++i) {
    const std::string below = "#/$defs/d" + std::to_string(i - 1);
    const Json ref = Json::object({{"$ref", below}});
    defs["d" + std::to_string(i)] = Json::object(
        {{"allOf", Json::array({Json::object({{"properties", {{"a" + std::to_string(i), ref}}}}),
                                Json::object({{"allOf", Json::array({ref, ref})}})})}});
  }
  expect_quick_error(Json::object({{"$defs", defs}, {"$ref", "#/$defs/d39"}}), "doubling allOf");

  Json names = Json::array();
  for (int i = 0; i < 20'000; ++i) names.push_back("n" + std::to_string(i));
  const Json one_enum = Json::object({{"enum", names}});
  const Json one_list = Json::object({{"required", names}});
  expect_quick_error(Json::object({{"allOf", Json::array({one_enum, one_enum})}}), "enum twice");
  expect_quick_error(Json::object({{"allOf", Json::array({one_list, one_list})}}), "names twice");

  Json choice = Json::array();
  for (int i = 0; i < 60; ++i) choice.push_back(Json::object({{"const", i}}));
  Json product = Json::array();
  for (int i = 0; i < 8; ++i) product.push_back(Json::object({{"anyOf", choice}}));
  expect_quick_error(Json::object({{"allOf", product}}), "a product of choices");
}

TEST(JsonSchema, LargeButHonestSchemasWork) {
  Json values = Json::array();
  for (int i = 0; i < 10'000; ++i) values.push_back("value-" + std::to_string(i));
  EXPECT_TRUE(accepts(json_schema_to_gbnf(Json::object({{"enum", values}})), "\"value-7341\""));
  Json properties = Json::object();
  for (int i = 0; i < 500; ++i) {
    properties["p" + std::to_string(i)] = Json::object({{"type", "integer"}});
  }
  const std::string gbnf = json_schema_to_gbnf(Json::object({{"properties", properties}}));
  EXPECT_TRUE(accepts(gbnf, R"({"p3":1,"p7":2,"p499":3})"));
  EXPECT_FALSE(accepts(gbnf, R"({"p7":1,"p3":2})"));
}

}  // namespace
}  // namespace foretoken::grammar
