#include "eval/acceptance_prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "eval/bundled_text.h"

namespace foretoken::eval {
namespace {

using ::testing::HasSubstr;

TEST(AcceptancePrompts, BundledOnesAreEightKindsOfFive) {
  std::set<std::string> names;
  std::set<std::string> texts;
  bool any_tools = false;
  for (const AcceptanceCategory& category : bundled_acceptance_categories()) {
    names.insert(category.name);
    EXPECT_EQ(category.prompts.size(), 5U) << category.name;
    for (const AcceptancePrompt& prompt : category.prompts) {
      texts.insert(prompt.messages.dump());
      any_tools |= !prompt.tools.is_null();
    }
  }
  EXPECT_EQ(names.size(), 8U);
  EXPECT_EQ(texts.size(), 40U);
  EXPECT_TRUE(any_tools);
}

TEST(AcceptancePrompts, AreTextsMessagesOrObjects) {
  const auto categories = parse_acceptance_prompts(R"({"categories": [{"name": "mine", "prompts": [
      "Hello",
      [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"},
       {"role": "user", "content": "Hu"}],
      {"messages": [{"role": "user", "content": "Rain?"}],
       "tools": [{"name": "weather", "parameters": {"type": "object", "properties": {}}}]}
    ]}]})",
                                                   "mine.json");
  ASSERT_EQ(categories.size(), 1U);
  EXPECT_EQ(categories[0].name, "mine");
  ASSERT_EQ(categories[0].prompts.size(), 3U);
  EXPECT_EQ(categories[0].prompts[0].messages[0].at("content"), "Hello");
  EXPECT_EQ(categories[0].prompts[0].messages[0].at("role"), "user");
  EXPECT_EQ(categories[0].prompts[1].messages.size(), 3U);
  EXPECT_TRUE(categories[0].prompts[1].tools.is_null());
  EXPECT_EQ(categories[0].prompts[2].tools[0].at("function").at("name"), "weather");
}

TEST(AcceptancePrompts, RefusalsNameThePlace) {
  const auto refusal = [](const std::string& text) {
    try {
      parse_acceptance_prompts(text, "mine.json");
    } catch (const RequestError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto with_prompt = [&](const std::string& prompt) {
    return refusal(R"({"categories": [{"name": "a", "prompts": ["ok", )" + prompt + "]}]}");
  };
  EXPECT_THAT(refusal("no json"), HasSubstr("mine.json is not valid JSON"));
  EXPECT_THAT(refusal(std::string(200, '[')), HasSubstr("nests more than"));
  EXPECT_THAT(refusal("[]"), HasSubstr("expected an object with \"categories\""));
  EXPECT_THAT(refusal("{}"), HasSubstr("expected an object with \"categories\""));
  EXPECT_THAT(refusal(R"({"categories": []})"), HasSubstr("a list of 1 to"));
  EXPECT_THAT(refusal(R"({"categories": [7]})"),
              HasSubstr("categories[0]: a category is an object"));
  EXPECT_THAT(refusal(R"({"categories": [{"prompts": ["a"]}]})"), HasSubstr("needs a \"name\""));
  EXPECT_THAT(refusal(R"({"categories": [{"name": "a", "prompts": []}]})"),
              HasSubstr("a list that is not empty"));
  const std::string place = "mine.json: categories[0].prompts[1]";
  EXPECT_THAT(with_prompt("7"), HasSubstr(place));
  EXPECT_THAT(with_prompt("[]"), HasSubstr(place));
  EXPECT_THAT(with_prompt("{}"), HasSubstr("needs \"messages\""));
  EXPECT_THAT(with_prompt(R"([{"role": 3}])"), HasSubstr(place));
  EXPECT_THAT(with_prompt(R"({"messages": [{"role": "user", "content": "a"}], "tools": 3})"),
              HasSubstr(place));
}

TEST(BundledText, IsVariedAndLong) {
  const std::string_view text = bundled_text();
  EXPECT_GT(text.size(), 8000U);
  EXPECT_LT(text.size(), 12000U);
  for (const char* part : {"ferry", "```python", "SELECT", "Uhrmacher", "\"celsius\"", "秋天"}) {
    EXPECT_NE(text.find(part), std::string_view::npos) << part;
  }
}

}  // namespace
}  // namespace foretoken::eval
