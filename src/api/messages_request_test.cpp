// Anthropic bodies to the chat layout: every block, every field, and bodies with wrong types.
#include "api/messages_request.h"

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
  return messages_to_chat(Json::parse(body), [&](const std::string& line) {
    ASSERT_NE(remarks, nullptr) << line;
    remarks->push_back(line);
  });
}

/// The messages made of a conversation, one line each.
std::string converted(const std::string& messages, const std::string& more = "") {
  const Json chat = convert(R"({"messages":)" + messages + more + "}");
  std::string text;
  for (const Json& message : chat.at("messages")) {
    text += message.dump() + "\n";
  }
  return text;
}

std::string error_of(const std::string& body) {
  try {
    convert(body);
  } catch (const RequestError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(MessagesRequest, TakesPlainTextAsItIs) {
  EXPECT_EQ(converted(R"([{"role":"user","content":"hi"},{"role":"assistant","content":"ho"},
                          {"role":"assistant"},{"role":"system","content":"S"}])"),
            R"({"role":"user","content":"hi"})"
            "\n"
            R"({"role":"assistant","content":"ho"})"
            "\n"
            R"({"role":"assistant","content":""})"
            "\n"
            R"({"role":"system","content":"S"})"
            "\n");
}

TEST(MessagesRequest, PutsTheSystemPromptFirst) {
  EXPECT_EQ(converted("[]", R"(,"system":"S")"), "{\"role\":\"system\",\"content\":\"S\"}\n");
  EXPECT_EQ(converted("[]", R"(,"system":[{"type":"text","text":"a","cache_control":{}},
                                          {"type":"text","text":"b"}])"),
            R"({"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})"
            "\n");
}

TEST(MessagesRequest, ConvertsAnAssistantsBlocks) {
  EXPECT_EQ(converted(R"([{"role":"assistant","content":[
              {"type":"thinking","thinking":"t1","signature":"x"},{"type":"redacted_thinking","data":"x"},
              {"type":"text","text":"a"},{"type":"text","text":"b","citations":null},
              {"type":"tool_use","id":"i1","name":"f","input":{"x":[1,null]},"cache_control":{}},
              {"type":"thinking","thinking":"t2"},
              {"type":"server_tool_use","id":"s","name":"web_search","input":{}},
              {"type":"tool_use","id":"i2","name":"g"}]}])"),
            R"({"role":"assistant","content":"ab","reasoning_content":"t1t2","tool_calls":[)"
            R"({"id":"i1","type":"function","function":{"name":"f","arguments":{"x":[1,null]}}},)"
            R"({"id":"i2","type":"function","function":{"name":"g","arguments":{}}}]})"
            "\n");
}

TEST(MessagesRequest, KeepsTheOrderOfResultsAndWords) {
  EXPECT_EQ(
      converted(R"([{"role":"user","content":[
              {"type":"tool_result","tool_use_id":"i1","content":"r1"},
              {"type":"tool_result","tool_use_id":"i2","is_error":true,
               "content":[{"type":"text","text":"r"},{"type":"text","text":"2"}]},
              {"type":"text","text":"then"},{"type":"text","text":" go on"},
              {"type":"tool_result","tool_use_id":"i3"}]}])"),
      R"({"role":"tool","tool_call_id":"i1","content":"r1"})"
      "\n"
      R"({"role":"tool","tool_call_id":"i2","content":"r2"})"
      "\n"
      R"({"role":"user","content":[{"type":"text","text":"then"},{"type":"text","text":" go on"}]})"
      "\n"
      R"({"role":"tool","tool_call_id":"i3","content":""})"
      "\n");
}

TEST(MessagesRequest, ConvertsPicturesWhereverTheyStand) {
  const std::string picture =
      R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}})";
  const std::string address = R"({"type":"image","source":{"type":"url","url":"http://x/y"}})";
  EXPECT_EQ(converted(R"([{"role":"user","content":[)" + picture + "," + address + "]}," +
                      R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"i",
                          "content":[{"type":"text","text":"see"},)" +
                      picture + "]}]}]"),
            R"({"role":"user","content":[)"
            R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},)"
            R"({"type":"image_url","image_url":{"url":"http://x/y"}}]})"
            "\n"
            R"({"role":"tool","tool_call_id":"i","content":[{"type":"text","text":"see"},)"
            R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]})"
            "\n");
}

TEST(MessagesRequest, ReadsDocumentsOfText) {
  EXPECT_EQ(converted(R"([{"role":"user","content":[
        {"type":"document","source":{"type":"text","media_type":"text/plain","data":"D"}},
        {"type":"document","source":{"type":"content","content":[{"type":"text","text":"E"}]}},
        {"type":"document","source":{"type":"content","content":"F"}},
        {"type":"search_result","title":"T","source":"u","content":[{"type":"text","text":"G"}]}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"i",
          "content":[{"type":"tool_reference","tool_name":"f"}]}]},{"role":"user","content":[]}])"),
            R"({"role":"user","content":[{"type":"text","text":"D"},{"type":"text","text":"E"},)"
            R"({"type":"text","text":"F"},{"type":"text","text":"T\nu\nG"}]})"
            "\n"
            R"({"role":"tool","tool_call_id":"i","content":"f"})"
            "\n"
            R"({"role":"user","content":""})"
            "\n");
}

TEST(MessagesRequest, OverwritesTheStampOfTheBillingHeader) {
  const std::string header = "x-anthropic-billing-header: cc_version=2.1; cch=a5145; more";
  EXPECT_EQ(without_stamp(header), "x-anthropic-billing-header: cc_version=2.1; cch=fffff; more");
  for (const char* other :
       {"x-anthropic-billing-header: cch=a514;", "cch=a5145;", "x-anthropic-billing-header: cch=",
        "x-anthropic-billing-header:", "x-anthropic-billing-header: cch=a5145",
        " x-anthropic-billing-header: "
        "cch=a5145;"}) {
    EXPECT_EQ(without_stamp(other), other);
  }
}

TEST(MessagesRequest, ConvertsTools) {
  std::vector<std::string> remarks;
  const Json chat = convert(R"({"messages":[],"tools":[
      {"name":"f","description":"D","input_schema":{"type":"object"},"cache_control":{},"strict":true},
      {"type":"custom","name":"g"},{"type":"web_search_20250305","name":"web_search"},
      {"type":"bash_20250124","name":"bash"}]})",
                            &remarks);
  EXPECT_EQ(chat.at("tools").dump(),
            R"([{"type":"function","function":{"name":"f","description":"D",)"
            R"("parameters":{"type":"object"}}},)"
            R"({"type":"function","function":{"name":"g","parameters":{}}}])");
  EXPECT_THAT(remarks, ElementsAre(HasSubstr("web_search_20250305"), HasSubstr("bash_20250124")));
}

TEST(MessagesRequest, ConvertsTheChoiceOfTools) {
  const auto choice = [](const std::string& json) {
    const Json chat = convert(R"({"messages":[],"tool_choice":)" + json + "}");
    return chat.at("tool_choice").dump() + (chat.contains("parallel_tool_calls") ? " one" : "");
  };
  EXPECT_EQ(choice(R"({"type":"auto"})"), "\"auto\"");
  EXPECT_EQ(choice(R"({"type":"none"})"), "\"none\"");
  EXPECT_EQ(choice(R"({"type":"any","disable_parallel_tool_use":true})"), "\"required\" one");
  EXPECT_EQ(choice(R"({"type":"tool","name":"f"})"),
            R"({"type":"function","function":{"name":"f"}})");
}

TEST(MessagesRequest, ConvertsThinking) {
  const auto thinking = [](const std::string& rest) {
    Json chat = convert(R"({"messages":[],"max_tokens":5,)" + rest + "}");
    chat.erase("messages");
    chat.erase("max_tokens");
    return chat.dump();
  };
  EXPECT_EQ(thinking(R"("thinking":{"type":"enabled","budget_tokens":2000})"),
            R"({"thinking_budget_tokens":2000,"chat_template_kwargs":{"enable_thinking":true}})");
  EXPECT_EQ(thinking(R"("thinking":{"type":"enabled"})"),
            R"({"thinking_budget_tokens":10000,"chat_template_kwargs":{"enable_thinking":true}})");
  EXPECT_EQ(thinking(R"("thinking":{"type":"disabled"})"),
            R"({"chat_template_kwargs":{"enable_thinking":false}})");
  EXPECT_EQ(thinking(R"("thinking":{"type":"adaptive"})"), "{}");
  EXPECT_EQ(thinking(R"("thinking":null)"), "{}");
  EXPECT_EQ(thinking(R"("chat_template_kwargs":{"enable_thinking":false,"a":1},
                        "thinking":{"type":"enabled"})"),
            R"({"chat_template_kwargs":{"enable_thinking":false,"a":1},)"
            R"("thinking_budget_tokens":10000})");
}

TEST(MessagesRequest, PassesSamplingAndThisServersOwnFieldsOn) {
  Json chat = convert(R"({"model":"m","messages":[],"max_tokens":7,"temperature":0.5,"top_p":0.9,
      "top_k":5,"stream":true,"stop_sequences":["END"],"metadata":{"user_id":"u"},"id_slot":1,
      "timings_per_token":true,"service_tier":"auto","mcp_servers":[]})");
  chat.erase("messages");
  EXPECT_EQ(chat.dump(),
            R"({"model":"m","max_tokens":7,"temperature":0.5,"top_p":0.9,"top_k":5,"stream":true,)"
            R"("id_slot":1,"timings_per_token":true,"service_tier":"auto","stop":["END"]})");
  EXPECT_EQ(convert(R"({"messages":[]})").at("max_tokens"), 4096);
}

TEST(MessagesRequest, ConvertsTheOutputFormat) {
  const char* expected = R"({"type":"json_schema","json_schema":{"schema":{"type":"object"}}})";
  const std::string format = R"({"type":"json_schema","schema":{"type":"object"}})";
  EXPECT_EQ(convert(R"({"messages":[],"output_config":{"effort":"low","format":)" + format + "}}")
                .at("response_format")
                .dump(),
            expected);
  EXPECT_EQ(
      convert(R"({"messages":[],"output_format":)" + format + "}").at("response_format").dump(),
      expected);
  EXPECT_FALSE(
      convert(R"({"messages":[],"output_config":{"effort":"low"}})").contains("response_format"));
}

TEST(MessagesRequest, NamesTheMemberThatIsWrong) {
  const auto in_message = [](const std::string& message) {
    return error_of(R"({"messages":[)" + message + "]}");
  };
  const auto in_block = [&](const std::string& block, const char* role = "user") {
    return in_message(R"({"role":")" + std::string(role) + R"(","content":[)" + block + "]}");
  };
  EXPECT_THAT(error_of("{}"), StartsWith("Field 'messages': is required"));
  EXPECT_THAT(error_of(R"({"messages":{}})"), StartsWith("Field 'messages': must be an array"));
  EXPECT_THAT(in_message("1"), StartsWith("Field 'messages[0]': must be an object"));
  EXPECT_THAT(in_message("{}"), StartsWith("Field 'messages[0].role': is required"));
  EXPECT_THAT(in_message(R"({"role":"tool"})"), StartsWith("Field 'messages[0].role'"));
  EXPECT_THAT(in_message(R"({"role":"user"})"), StartsWith("Field 'messages[0].content'"));
  EXPECT_THAT(in_message(R"({"role":"user","content":1})"),
              StartsWith("Field 'messages[0].content'"));
  EXPECT_THAT(in_block("null"), StartsWith("Field 'messages[0].content[0]'"));
  EXPECT_THAT(in_block(R"({"type":1})"), StartsWith("Field 'messages[0].content[0].type'"));
  EXPECT_THAT(in_block(R"({"type":"tool_use","name":"f"})"),
              StartsWith("Field 'messages[0].content[0].type': unsupported block type"));
  EXPECT_THAT(in_block(R"({"type":"text"})"), StartsWith("Field 'messages[0].content[0].text'"));
  EXPECT_THAT(in_block(R"({"type":"text","text":[]})"),
              StartsWith("Field 'messages[0].content[0].text': must be a string, not array"));
  EXPECT_THAT(in_block(R"({"type":"image"})"), StartsWith("Field 'messages[0].content[0].source'"));
  EXPECT_THAT(in_block(R"({"type":"image","source":{"type":"base64"}})"),
              StartsWith("Field 'messages[0].content[0].source.data'"));
  EXPECT_THAT(in_block(R"({"type":"image","source":{"type":"file","file_id":"x"}})"),
              StartsWith("Field 'messages[0].content[0].source.type'"));
  EXPECT_THAT(in_block(R"({"type":"document","source":{"type":"base64","data":"x"}})"),
              StartsWith("Field 'messages[0].content[0].source.type'"));
  EXPECT_THAT(in_block(R"({"type":"tool_result","content":"x"})"),
              StartsWith("Field 'messages[0].content[0].tool_use_id'"));
  EXPECT_THAT(in_block(R"({"type":"tool_result","tool_use_id":"i","content":3})"),
              StartsWith("Field 'messages[0].content[0].content'"));
  EXPECT_THAT(in_block(R"({"type":"tool_result","tool_use_id":"i","content":[{"type":"audio"}]})"),
              StartsWith("Field 'messages[0].content[0].content[0].type'"));
  EXPECT_THAT(in_block(R"({"type":"tool_result","tool_use_id":"i","is_error":"no"})"),
              StartsWith("Field 'messages[0].content[0].is_error'"));
  EXPECT_THAT(in_block(R"({"type":"thinking","thinking":1})", "assistant"),
              StartsWith("Field 'messages[0].content[0].thinking'"));
  EXPECT_THAT(in_block(R"({"type":"tool_use","name":"f","input":"{}"})", "assistant"),
              StartsWith("Field 'messages[0].content[0].input': must be an object"));
  EXPECT_THAT(in_block(R"({"type":"tool_result","tool_use_id":"i"})", "assistant"),
              StartsWith("Field 'messages[0].content[0].type'"));

  const auto with = [](const std::string& rest) {
    return error_of(R"({"messages":[],)" + rest + "}");
  };
  EXPECT_THAT(with(R"("system":1)"), StartsWith("Field 'system'"));
  EXPECT_THAT(with(R"("system":[{"type":"image"}])"), StartsWith("Field 'system[0].type'"));
  EXPECT_THAT(with(R"("tools":{})"), StartsWith("Field 'tools'"));
  EXPECT_THAT(with(R"("tools":[{}])"), StartsWith("Field 'tools[0].name'"));
  EXPECT_THAT(with(R"("tools":[{"name":"f","input_schema":[]}])"),
              StartsWith("Field 'tools[0].input_schema'"));
  EXPECT_THAT(with(R"("tool_choice":"auto")"), StartsWith("Field 'tool_choice'"));
  EXPECT_THAT(with(R"("tool_choice":{"type":"some"})"), StartsWith("Field 'tool_choice.type'"));
  EXPECT_THAT(with(R"("tool_choice":{"type":"tool"})"), StartsWith("Field 'tool_choice.name'"));
  EXPECT_THAT(with(R"("stop_sequences":"END")"), StartsWith("Field 'stop_sequences'"));
  EXPECT_THAT(with(R"("stop_sequences":[1])"), StartsWith("Field 'stop_sequences[0]'"));
  EXPECT_THAT(with(R"("max_tokens":"many")"), StartsWith("Field 'max_tokens'"));
  EXPECT_THAT(with(R"("max_tokens":1.5)"), StartsWith("Field 'max_tokens'"));
  EXPECT_THAT(with(R"("thinking":true)"), StartsWith("Field 'thinking'"));
  EXPECT_THAT(with(R"("thinking":{"type":"maybe"})"), StartsWith("Field 'thinking.type'"));
  EXPECT_THAT(with(R"("thinking":{"type":"enabled","budget_tokens":-1})"),
              StartsWith("Field 'thinking.budget_tokens'"));
  EXPECT_THAT(with(R"("thinking":{"type":"disabled"},"chat_template_kwargs":[])"),
              StartsWith("Field 'chat_template_kwargs'"));
  EXPECT_THAT(with(R"("output_config":1)"), StartsWith("Field 'output_config'"));
  EXPECT_THAT(with(R"("output_config":{"format":{"type":"xml"}})"),
              StartsWith("Field 'output_config.format.type'"));
  EXPECT_THAT(with(R"("output_format":{"type":"json_schema"})"),
              StartsWith("Field 'output_format.schema'"));
}

std::string prompt_of(const std::string& fixture, std::vector<std::string>& remarks) {
  std::ifstream file(FORETOKEN_SOURCE_DIR "/tests/data/dialects/" + fixture);
  const Json chat = messages_to_chat(Json::parse(file),
                                     [&](const std::string& line) { remarks.push_back(line); });
  const chat::PromptRenderer renderer(
      std::make_shared<const chat::ChatTemplate>(chat::ChatTemplate::builtin_source()));
  chat::PromptOptions options;
  options.render.tools = chat::normalise_tools(chat.at("tools"));
  options.preserve_reasoning = true;
  return chat::join(renderer.render(chat::parse_messages(chat.at("messages")), options));
}

TEST(MessagesRequest, KeepsThePrefixOfAnAgentsSession) {
  std::vector<std::string> remarks;
  const std::string first = prompt_of("claude_code_1.json", remarks);
  const std::string second = prompt_of("claude_code_2.json", remarks);
  const std::string opening = "<|im_start|>assistant\n<think>\n";
  ASSERT_TRUE(first.ends_with(opening));
  EXPECT_TRUE(second.starts_with(first));  // the stamp differs, the reply goes on
  EXPECT_THAT(second, HasSubstr("cch=fffff;You are Claude Code"));
  EXPECT_THAT(second, HasSubstr("<think>\nI should run the tests first and look at the file.\n"
                                "</think>\n\nI'll run the tests and read the parser.\n\n"
                                "<tool_call>\n<function=Bash>\n"));
  EXPECT_THAT(second, HasSubstr("</tool_response><|im_end|>\n<|im_start|>user\n<system-reminder>\n"
                                "The todo list is empty.\n</system-reminder><|im_end|>\n"
                                "<|im_start|>system\nThe user opened src/parser.py in the "
                                "editor.<|im_end|>\n<|im_start|>assistant\n"));
  EXPECT_EQ(remarks.size(), 2U);  // the search tool, twice
}

}  // namespace
}  // namespace foretoken::api
