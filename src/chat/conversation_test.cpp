// Messages as requests spell them, and what is refused by name.
#include "chat/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "chat/chat_template.h"

namespace foretoken::chat {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;

std::string error_of(const std::string& text) {
  try {
    parse_messages_text(text);
  } catch (const RequestError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Conversation, ReadsArgumentsGivenAsText) {
  const auto messages = parse_messages_text(R"([{"role":"assistant","content":null,
    "tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"b\":1,\"a\":[2]}"}},
                  {"function":{"name":"g","arguments":""}},{"name":"h","arguments":{"x":1}}]}])");
  ASSERT_EQ(messages.size(), 1u);
  ASSERT_EQ(messages[0].tool_calls.size(), 3u);
  EXPECT_EQ(messages[0].tool_calls[0].id, "c1");
  EXPECT_EQ(messages[0].tool_calls[0].arguments.dump(), R"({"b":1,"a":[2]})");
  EXPECT_EQ(messages[0].tool_calls[1].arguments, Json::object());
  EXPECT_EQ(messages[0].tool_calls[2].arguments.dump(), R"({"x":1})");
}

TEST(Conversation, RendersAfterNormalisation) {
  const auto messages = parse_messages_text(R"([{"role":"developer","content":"S"},
    {"role":"user","content":[{"type":"text","text":"q"}]},
    {"role":"assistant","content":"","reasoning":"r",
     "tool_calls":[{"function":{"name":"f","arguments":"{\"k\":\"v\"}"}}]},
    {"role":"tool","tool_call_id":"c1","content":"t"}])");
  const ChatTemplate chat_template(ChatTemplate::builtin_source());
  EXPECT_EQ(
      join(chat_template.render(to_json(messages), {})),
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
      "<think>\nr\n</think>\n\n<tool_call>\n<function=f>\n<parameter=k>\nv\n</parameter>\n"
      "</function>\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\nt\n"
      "</tool_response><|im_end|>\n<|im_start|>assistant\n<think>\n");
}

TEST(Conversation, SurvivesARoundTripThroughJson) {
  const std::string text = R"([{"role":"user","content":"q"},{"role":"assistant","content":null,)"
                           R"("reasoning_content":"r","tool_calls":[{"id":"1","type":"function",)"
                           R"("function":{"name":"f","arguments":{"z":1,"a":2}}}]},)"
                           R"({"role":"tool","content":"t","tool_call_id":"1"}])";
  EXPECT_EQ(to_json(parse_messages_text(text)).dump(), text);
}

TEST(Conversation, NamesTheMalformedMember) {
  EXPECT_THAT(error_of("{}"), HasSubstr("messages must be an array"));
  EXPECT_THAT(error_of("[1]"), HasSubstr("messages[0] must be an object"));
  EXPECT_THAT(error_of(R"([{"content":"x"}])"), HasSubstr("messages[0].role is missing"));
  EXPECT_THAT(error_of(R"([{"role":1}])"), HasSubstr("messages[0].role must be a string"));
  EXPECT_THAT(error_of(R"([{"role":"user","content":5}])"), HasSubstr("messages[0].content"));
  EXPECT_THAT(error_of(R"([{"role":"user","content":[{"type":"text"}]}])"),
              HasSubstr("messages[0].content[0]"));
  EXPECT_THAT(error_of(R"([{"role":"user","content":[{"type":"text","text":[]}]}])"),
              HasSubstr("content[0].text must be a string"));
  EXPECT_THAT(
      error_of(R"([{"role":"a","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}])"),
      HasSubstr("messages[0].tool_calls[0].function.arguments is not valid JSON"));
  EXPECT_THAT(
      error_of(R"([{"role":"a","tool_calls":[{"function":{"name":"f","arguments":"[1]"}}]}])"),
      HasSubstr("must be a JSON object"));
  EXPECT_THAT(error_of(std::string("[]\0]", 4)), HasSubstr("a NUL character at byte 3"));
  EXPECT_THAT(error_of("[{"), HasSubstr("not valid JSON: error at byte"));
  EXPECT_THAT(error_of(std::string(100000, '[')), HasSubstr("nests more than 100 deep"));
}

TEST(Conversation, RefusesTooManyMessages) {
  const Json two = {{{"role", "user"}}, {{"role", "user"}}};
  EXPECT_THROW(parse_messages(two, {.max_messages = 1, .max_depth = 100}), RequestError);
}

TEST(Conversation, MergesSystemMessagesAtTheFront) {
  auto messages = parse_messages_text(R"([{"role":"user","content":"q"},
    {"role":"system","content":"a"},{"role":"system","content":[{"type":"text","text":"b"}]}])");
  merge_system_messages(messages);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[0].content, "a\n\nb");
  EXPECT_EQ(messages[1].role, "user");
}

TEST(Conversation, WrapsBareToolDeclarations) {
  EXPECT_EQ(normalise_tools(Json::parse(R"([{"name":"f"}])")).dump(),
            R"([{"type":"function","function":{"name":"f"}}])");
  EXPECT_TRUE(normalise_tools(nullptr).is_null());
  EXPECT_THROW(normalise_tools(Json::parse(R"([{"function":{}}])")), RequestError);
  EXPECT_THROW(normalise_tools(Json::parse(R"([{"function":3}])")), RequestError);
}

}  // namespace
}  // namespace foretoken::chat
