// Responses bodies to the chat layout: every item, every field, and bodies with wrong types.
#include "api/responses_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "chat/prompt_renderer.h"

namespace foretoken::api {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Json convert(const std::string& body, std::vector<std::string>* remarks = nullptr) {
  return responses_to_chat(Json::parse(body), [&](const std::string& line) {
    ASSERT_NE(remarks, nullptr) << line;
    remarks->push_back(line);
  });
}

std::string converted(const std::string& input) {
  const Json chat = convert(R"({"input":)" + input + "}");
  std::string text;
  for (const Json& message : chat.at("messages")) {
    text += message.dump() + "\n";
  }
  return text;
}

/// What is left of a body without its input.
std::string rest_of(const std::string& rest) {
  Json chat = convert(R"({"input":"x",)" + rest + "}");
  chat.erase("messages");
  return chat.dump();
}

std::string error_of(const std::string& body) {
  try {
    convert(body);
  } catch (const RequestError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ResponsesRequest, TakesAStringAsAUsersMessage) {
  EXPECT_EQ(convert(R"({"instructions":"I","input":"hi"})").at("messages").dump(),
            R"([{"role":"system","content":"I"},{"role":"user","content":"hi"}])");
  EXPECT_EQ(convert(R"({"instructions":null,"input":[]})").at("messages").dump(), "[]");
}

TEST(ResponsesRequest, ConvertsMessagesOfEveryRole) {
  EXPECT_EQ(converted(R"([{"role":"system","content":"S"},
              {"type":"message","role":"developer","content":[{"type":"input_text","text":"D"}]},
              {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"text","text":"b"}]},
              {"type":"message","role":"assistant","id":"msg_1","status":"completed","content":[
                {"type":"output_text","text":"c","annotations":[]},{"type":"refusal","refusal":"d"}]},
              {"role":"user","content":[{"type":"input_text","text":"e"},
                {"type":"input_image","image_url":"data:x","detail":"auto"},
                {"type":"input_image","image_url":{"url":"http://y"}}]}])"),
            R"({"role":"system","content":"S"})"
            "\n"
            R"({"role":"developer","content":"D"})"
            "\n"
            R"({"role":"user","content":"ab"})"
            "\n"
            R"({"role":"assistant","content":"cd"})"
            "\n"
            R"({"role":"user","content":[{"type":"text","text":"e"},)"
            R"({"type":"image_url","image_url":{"url":"data:x"}},)"
            R"({"type":"image_url","image_url":{"url":"http://y"}}]})"
            "\n");
}

TEST(ResponsesRequest, JoinsWhatAnAssistantDidInARow) {
  EXPECT_EQ(converted(R"([{"role":"user","content":"q"},
              {"type":"reasoning","id":"rs_1","summary":[],"content":[
                {"type":"reasoning_text","text":"t"}],"encrypted_content":""},
              {"type":"message","role":"assistant","content":"w"},
              {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"x\": 1}"},
              {"type":"function_call","call_id":"c2","name":"g","arguments":""},
              {"type":"function_call_output","call_id":"c1","output":"r1"},
              {"type":"function_call_output","call_id":"c2","output":[
                {"type":"input_text","text":"r"},{"type":"input_text","text":"2"}]},
              {"type":"reasoning","summary":[],"content":null,"encrypted_content":"gAAA"},
              {"type":"web_search_call","id":"ws","status":"completed"},
              {"type":"message","role":"assistant","content":"done"}])"),
            R"({"role":"user","content":"q"})"
            "\n"
            R"({"role":"assistant","content":"w","reasoning_content":"t","tool_calls":[)"
            R"({"id":"c1","type":"function","function":{"name":"f","arguments":{"x":1}}},)"
            R"({"id":"c2","type":"function","function":{"name":"g","arguments":{}}}]})"
            "\n"
            R"({"role":"tool","tool_call_id":"c1","content":"r1"})"
            "\n"
            R"({"role":"tool","tool_call_id":"c2","content":"r2"})"
            "\n"
            R"({"role":"assistant","content":"done"})"
            "\n");
}

TEST(ResponsesRequest, KeepsCallsThatBrokeOff) {
  EXPECT_EQ(
      converted(R"([{"type":"function_call","call_id":"c","name":"f","arguments":"{\"x"},
                          {"type":"function_call","call_id":"d","name":"f","arguments":"[1]"}])"),
      R"({"role":"assistant","content":"","tool_calls":[)"
      R"({"id":"c","type":"function","function":{"name":"f","arguments":{"arguments":"{\"x"}}},)"
      R"({"id":"d","type":"function","function":{"name":"f","arguments":{"arguments":"[1]"}}}]})"
      "\n");
}

TEST(ResponsesRequest, ConvertsCallsOfOtherKinds) {
  EXPECT_EQ(
      converted(R"([{"type":"custom_tool_call","call_id":"c","name":"apply_patch","input":"p"},
              {"type":"custom_tool_call_output","call_id":"c","output":"ok"},
              {"type":"local_shell_call","id":"l","call_id":null,"status":"completed",
               "action":{"type":"exec","command":["ls"]}},
              {"type":"local_shell_call_output","id":"l","output":"a b"}])"),
      R"({"role":"assistant","content":"","tool_calls":[{"id":"c","type":"function",)"
      R"("function":{"name":"apply_patch","arguments":{"input":"p"}}}]})"
      "\n"
      R"({"role":"tool","tool_call_id":"c","content":"ok"})"
      "\n"
      R"({"role":"assistant","content":"","tool_calls":[{"id":"l","type":"function",)"
      R"("function":{"name":"local_shell","arguments":{"type":"exec","command":["ls"]}}}]})"
      "\n"
      R"({"role":"tool","tool_call_id":"l","content":"a b"})"
      "\n");
}

TEST(ResponsesRequest, ConvertsTools) {
  std::vector<std::string> remarks;
  const Json chat = convert(R"({"input":"x","tools":[
      {"type":"function","name":"f","description":"D","parameters":{"type":"object"},"strict":false},
      {"type":"function","function":{"name":"g"}},{"type":"web_search"},
      {"type":"custom","name":"apply_patch"}]})",
                            &remarks);
  EXPECT_EQ(chat.at("tools").dump(),
            R"([{"type":"function","function":{"name":"f","description":"D",)"
            R"("parameters":{"type":"object"},"strict":false}},)"
            R"({"type":"function","function":{"name":"g"}}])");
  EXPECT_THAT(remarks, ElementsAre(HasSubstr("tools[2]: a tool of type 'web_search'"),
                                   HasSubstr("tools[3]: a tool of type 'custom'")));
}

TEST(ResponsesRequest, ConvertsTheChoiceOfTools) {
  EXPECT_EQ(rest_of(R"("tool_choice":"required")"), R"({"tool_choice":"required"})");
  EXPECT_EQ(rest_of(R"("tool_choice":{"type":"function","name":"f"})"),
            R"({"tool_choice":{"type":"function","function":{"name":"f"}}})");
  EXPECT_EQ(rest_of(R"("tool_choice":{"type":"function","function":{"name":"f"}})"),
            R"({"tool_choice":{"type":"function","function":{"name":"f"}}})");
  EXPECT_EQ(rest_of(R"("tool_choice":{"type":"allowed_tools","mode":"auto","tools":[]})"),
            R"({"tool_choice":"auto"})");
}

TEST(ResponsesRequest, ConvertsLimitsEffortAndFormat) {
  EXPECT_EQ(rest_of(R"("max_output_tokens":7,"reasoning":{"effort":"low","summary":"auto"})"),
            R"({"max_tokens":7,"reasoning_effort":"low"})");
  EXPECT_EQ(rest_of(R"("max_output_tokens":null,"reasoning":null,"text":{"verbosity":"low"})"),
            "{}");
  EXPECT_EQ(rest_of(R"("text":{"format":{"type":"text"}})"), "{}");
  EXPECT_EQ(rest_of(R"("text":{"format":{"type":"json_object"}})"),
            R"({"response_format":{"type":"json_object"}})");
  EXPECT_EQ(rest_of(R"("text":{"format":{"type":"json_schema","name":"n","strict":true,
                                         "schema":{"type":"object"}}})"),
            R"({"response_format":{"type":"json_schema",)"
            R"("json_schema":{"name":"n","schema":{"type":"object"}}}})");
}

TEST(ResponsesRequest, PassesSamplingAndThisServersOwnFieldsOn) {
  EXPECT_EQ(rest_of(R"("model":"m","temperature":0.5,"top_p":0.9,"stream":true,"store":true,
      "metadata":{"a":"b"},"include":["x"],"truncation":"auto","top_logprobs":3,
      "previous_response_id":null,"background":false,"id_slot":1,"return_progress":true,
      "chat_template_kwargs":{"enable_thinking":false},"parallel_tool_calls":false,"user":"u")"),
            R"({"model":"m","temperature":0.5,"top_p":0.9,"stream":true,"id_slot":1,)"
            R"("return_progress":true,"chat_template_kwargs":{"enable_thinking":false},)"
            R"("parallel_tool_calls":false,"user":"u"})");
}

TEST(ResponsesRequest, NamesTheMemberThatIsWrong) {
  const auto item = [](const std::string& json) { return error_of(R"({"input":[)" + json + "]}"); };
  EXPECT_THAT(error_of("{}"), StartsWith("Field 'input': is required"));
  EXPECT_THAT(error_of(R"({"input":1})"),
              StartsWith("Field 'input': must be a string or an array"));
  EXPECT_THAT(item("\"x\""), StartsWith("Field 'input[0]': must be an object"));
  EXPECT_THAT(item("{}"), StartsWith("Field 'input[0].role'"));
  EXPECT_THAT(item(R"({"type":7})"), StartsWith("Field 'input[0].type'"));
  EXPECT_THAT(item(R"({"type":"novel"})"),
              StartsWith("Field 'input[0].type': unsupported item type"));
  EXPECT_THAT(item(R"({"type":"item_reference","id":"x"})"), StartsWith("Field 'input[0]'"));
  EXPECT_THAT(item(R"({"role":"tool","content":"x"})"), StartsWith("Field 'input[0].role'"));
  EXPECT_THAT(item(R"({"role":"user"})"), StartsWith("Field 'input[0].content'"));
  EXPECT_THAT(item(R"({"role":"user","content":[1]})"), StartsWith("Field 'input[0].content[0]'"));
  EXPECT_THAT(item(R"({"role":"user","content":[{"type":"input_text"}]})"),
              StartsWith("Field 'input[0].content[0].text'"));
  EXPECT_THAT(item(R"({"role":"user","content":[{"type":"input_file","file_id":"x"}]})"),
              StartsWith("Field 'input[0].content[0].type': 'input_file' is not supported"));
  EXPECT_THAT(item(R"({"role":"user","content":[{"type":"input_image"}]})"),
              StartsWith("Field 'input[0].content[0].image_url'"));
  EXPECT_THAT(item(R"({"role":"user","content":[{"type":"input_audio"}]})"),
              StartsWith("Field 'input[0].content[0].type'"));
  EXPECT_THAT(item(R"({"type":"function_call","call_id":"c","name":"f","arguments":{}})"),
              StartsWith("Field 'input[0].arguments': must be a string"));
  EXPECT_THAT(item(R"({"type":"function_call","call_id":"c","arguments":"{}"})"),
              StartsWith("Field 'input[0].name'"));
  EXPECT_THAT(item(R"({"type":"function_call","name":"f","arguments":"{}"})"),
              StartsWith("Field 'input[0].call_id'"));
  EXPECT_THAT(item(R"({"type":"function_call_output","call_id":"c"})"),
              StartsWith("Field 'input[0].output'"));
  EXPECT_THAT(item(R"({"type":"reasoning","content":"t"})"),
              StartsWith("Field 'input[0].content'"));
  EXPECT_THAT(item(R"({"type":"reasoning","content":[{"text":1}]})"),
              StartsWith("Field 'input[0].content[0].text'"));
  EXPECT_THAT(item(R"({"type":"local_shell_call","id":"l","action":"ls"})"),
              StartsWith("Field 'input[0].action'"));

  const auto with = [](const std::string& rest) {
    return error_of(R"({"input":"x",)" + rest + "}");
  };
  EXPECT_THAT(with(R"("instructions":[])"), StartsWith("Field 'instructions'"));
  EXPECT_THAT(with(R"("tools":{})"), StartsWith("Field 'tools'"));
  EXPECT_THAT(with(R"("tools":[{"name":"f"}])"), StartsWith("Field 'tools[0].type'"));
  EXPECT_THAT(with(R"("tools":[{"type":"function"}])"), StartsWith("Field 'tools[0].name'"));
  EXPECT_THAT(with(R"("tools":[{"type":"function","function":{}}])"),
              StartsWith("Field 'tools[0].function.name'"));
  EXPECT_THAT(with(R"("tool_choice":1)"), StartsWith("Field 'tool_choice'"));
  EXPECT_THAT(with(R"("tool_choice":{"type":"web_search"})"),
              StartsWith("Field 'tool_choice.type'"));
  EXPECT_THAT(with(R"("max_output_tokens":"7")"), StartsWith("Field 'max_output_tokens'"));
  EXPECT_THAT(with(R"("reasoning":"low")"), StartsWith("Field 'reasoning'"));
  EXPECT_THAT(with(R"("reasoning":{"effort":3})"), StartsWith("Field 'reasoning.effort'"));
  EXPECT_THAT(with(R"("text":"json")"), StartsWith("Field 'text'"));
  EXPECT_THAT(with(R"("text":{"format":"json"})"), StartsWith("Field 'text.format'"));
  EXPECT_THAT(with(R"("text":{"format":{"type":"xml"}})"), StartsWith("Field 'text.format.type'"));
  EXPECT_THAT(with(R"("text":{"format":{"type":"json_schema"}})"),
              StartsWith("Field 'text.format.schema'"));
  EXPECT_THAT(with(R"("previous_response_id":"resp_1")"),
              StartsWith("Field 'previous_response_id': is not supported"));
  EXPECT_THAT(with(R"("conversation":"c")"), StartsWith("Field 'conversation'"));
  EXPECT_THAT(with(R"("prompt":{"id":"p"})"), StartsWith("Field 'prompt'"));
  EXPECT_THAT(with(R"("background":true)"), StartsWith("Field 'background'"));
}

TEST(ResponsesRequest, RendersAnAgentsRequest) {
  std::ifstream file(FORETOKEN_SOURCE_DIR "/tests/data/dialects/codex.json");
  std::vector<std::string> remarks;
  const Json chat = responses_to_chat(Json::parse(file),
                                      [&](const std::string& line) { remarks.push_back(line); });
  EXPECT_THAT(remarks, ElementsAre(HasSubstr("custom"), HasSubstr("web_search")));
  EXPECT_EQ(chat.at("reasoning_effort"), "medium");
  const chat::PromptRenderer renderer(
      std::make_shared<const chat::ChatTemplate>(chat::ChatTemplate::builtin_source()));
  chat::PromptOptions options;
  options.render.tools = chat::normalise_tools(chat.at("tools"));
  options.preserve_reasoning = true;
  const std::string prompt =
      chat::join(renderer.render(chat::parse_messages(chat.at("messages")), options));
  EXPECT_THAT(prompt, HasSubstr("You are Codex, based on GPT-5. You are running as a coding agent "
                                "in a terminal on a user's computer.<|im_end|>\n<|im_start|>system"
                                "\n<permissions instructions>"));
  EXPECT_THAT(prompt, HasSubstr("<|im_start|>assistant\n<think>\nI need to look at the file.\n"
                                "</think>\n\n<tool_call>\n<function=shell>\n<parameter=command>\n"
                                "[\"bash\", \"-lc\", \"cat src/main.rs\"]\n</parameter>\n"));
  EXPECT_THAT(prompt, HasSubstr("Plan updated\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
                                "It prints `hi`.<|im_end|>\n"));
}

}  // namespace
}  // namespace foretoken::api
