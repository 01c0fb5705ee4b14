// Anthropic's events, byte for byte, for scripted replies.
#include "api/messages_events.h"

#include <gtest/gtest.h>

#include "api/errors.h"
#include "api/scripted_reply.h"

namespace foretoken::api {
namespace {

MessagesWriter writer(bool timings = false) {
  return MessagesWriter({.id = "msg_1", .model = "tiny", .timings = timings});
}

/// The data of all events as lines; names and types must agree.
std::string lines(const DialectEvents& events) {
  std::string text;
  for (const DialectEvent& event : events) {
    EXPECT_EQ(event.data.at("type"), event.name);
    text += event.data.dump() + "\n";
  }
  return text;
}

std::string block_start(int index, const std::string& block) {
  return R"({"type":"content_block_start","index":)" + std::to_string(index) +
         R"(,"content_block":)" + block + "}\n";
}
std::string block_delta(int index, const std::string& delta) {
  return R"({"type":"content_block_delta","index":)" + std::to_string(index) + R"(,"delta":)" +
         delta + "}\n";
}
std::string block_stop(int index) {
  return R"({"type":"content_block_stop","index":)" + std::to_string(index) + "}\n";
}
std::string message_end(const std::string& reason, const std::string& sequence, int n_tokens) {
  return R"({"type":"message_delta","delta":{"stop_reason":")" + reason + R"(","stop_sequence":)" +
         sequence + R"(},"usage":{"output_tokens":)" + std::to_string(n_tokens) + "}}\n" +
         R"({"type":"message_stop"})" + "\n";
}

const std::string kSignature = R"({"type":"signature_delta","signature":""})";
const std::string kThinkingBlock = R"({"type":"thinking","thinking":"","signature":""})";
const std::string kTextBlock = R"({"type":"text","text":""})";

TEST(MessagesWriter, StartsWithAnEmptyMessageAndTheCostOfThePrompt) {
  EXPECT_EQ(lines(writer().start(20, 12)),
            R"({"type":"message_start","message":{"id":"msg_1","type":"message",)"
            R"("role":"assistant","content":[],"model":"tiny","stop_reason":null,)"
            R"("stop_sequence":null,"usage":{"input_tokens":8,"cache_creation_input_tokens":0,)"
            R"("cache_read_input_tokens":12,"output_tokens":0}}})"
            "\n");
}

TEST(MessagesWriter, WritesText) {
  const ScriptedReply reply = script({content("Hel"), content(""), content("lo")});
  EXPECT_EQ(lines(stream(writer(), reply)),
            block_start(0, kTextBlock) + block_delta(0, R"({"type":"text_delta","text":"Hel"})") +
                block_delta(0, R"({"type":"text_delta","text":"lo"})") + block_stop(0) +
                message_end("end_turn", "null", 9));
}

TEST(MessagesWriter, ClosesTheThinkingBlockBeforeTheTextBegins) {
  const ScriptedReply reply = script({reasoning("hm"), content("A")});
  EXPECT_EQ(lines(stream(writer(), reply)),
            block_start(0, kThinkingBlock) +
                block_delta(0, R"({"type":"thinking_delta","thinking":"hm"})") +
                block_delta(0, kSignature) + block_stop(0) + block_start(1, kTextBlock) +
                block_delta(1, R"({"type":"text_delta","text":"A"})") + block_stop(1) +
                message_end("end_turn", "null", 9));
}

TEST(MessagesWriter, WritesToolCallsAsBlocksOfTheirOwn) {
  const ScriptedReply reply = script(
      {reasoning("hm"), content("A"), call_begin("get", "a"), call_arguments("{\"x\": "),
       call_arguments("1}"), call_end(), call_begin("now", "b"), call_arguments("{}"), call_end()},
      ChatFinish::Reason::ToolCalls);
  const auto tool = [](const char* id, const char* name) {
    return R"({"type":"tool_use","id":")" + std::string(id) + R"(","name":")" + name +
           R"(","input":{}})";
  };
  EXPECT_EQ(lines(stream(writer(), reply)),
            block_start(0, kThinkingBlock) +
                block_delta(0, R"({"type":"thinking_delta","thinking":"hm"})") +
                block_delta(0, kSignature) + block_stop(0) + block_start(1, kTextBlock) +
                block_delta(1, R"({"type":"text_delta","text":"A"})") + block_stop(1) +
                block_start(2, tool("toolu_a", "get")) +
                block_delta(2, R"({"type":"input_json_delta","partial_json":"{\"x\": "})") +
                block_delta(2, R"({"type":"input_json_delta","partial_json":"1}"})") +
                block_stop(2) + block_start(3, tool("toolu_b", "now")) +
                block_delta(3, R"({"type":"input_json_delta","partial_json":"{}"})") +
                block_stop(3) + message_end("tool_use", "null", 9));
}

TEST(MessagesWriter, KeepsTheTextOfACallThatBrokeOff) {
  const ScriptedReply reply = script(
      {call_begin("get", "a"), call_arguments("{\"x\": "), content("<tool_call>\n<function=get>")},
      ChatFinish::Reason::Length);
  EXPECT_EQ(lines(stream(writer(), reply)),
            block_start(0, R"({"type":"tool_use","id":"toolu_a","name":"get","input":{}})") +
                block_delta(0, R"({"type":"input_json_delta","partial_json":"{\"x\": "})") +
                block_stop(0) + block_start(1, kTextBlock) +
                block_delta(1, R"({"type":"text_delta","text":"<tool_call>\n<function=get>"})") +
                block_stop(1) + message_end("max_tokens", "null", 9));
}

TEST(MessagesWriter, SaysWhyTheReplyEnded) {
  const auto end_of = [](ChatFinish::Reason reason, const std::string& word) {
    ScriptedReply reply = script({content("x")}, reason);
    reply.finish.stopping_word = word;
    MessagesWriter streamed = writer();
    const Json delta = stream(std::move(streamed), reply).at(3).data.at("delta");
    const Json whole = writer().whole(reply.finish);
    EXPECT_EQ(delta.at("stop_reason"), whole.at("stop_reason"));
    EXPECT_EQ(delta.at("stop_sequence"), whole.at("stop_sequence"));
    return delta.dump();
  };
  using Reason = ChatFinish::Reason;
  EXPECT_EQ(end_of(Reason::Stop, ""), R"({"stop_reason":"end_turn","stop_sequence":null})");
  EXPECT_EQ(end_of(Reason::Stop, "END"),
            R"({"stop_reason":"stop_sequence","stop_sequence":"END"})");
  EXPECT_EQ(end_of(Reason::Length, ""), R"({"stop_reason":"max_tokens","stop_sequence":null})");
  EXPECT_EQ(end_of(Reason::ToolCalls, "END"),
            R"({"stop_reason":"tool_use","stop_sequence":"END"})");
}

TEST(MessagesWriter, EndsAnEmptyReplyWithoutAnyBlock) {
  EXPECT_EQ(lines(stream(writer(), script({}))), message_end("end_turn", "null", 9));
}

TEST(MessagesWriter, SendsHeldBackTextBeforeTheEnd) {
  ScriptedReply reply = script({content("a")});
  reply.last.push_back(content("b"));
  EXPECT_EQ(lines(stream(writer(), reply)),
            block_start(0, kTextBlock) + block_delta(0, R"({"type":"text_delta","text":"a"})") +
                block_delta(0, R"({"type":"text_delta","text":"b"})") + block_stop(0) +
                message_end("end_turn", "null", 9));
}

TEST(MessagesWriter, AddsTimingsOnlyWhenAsked) {
  ScriptedReply reply = script({content("a")});
  const Json with = stream(writer(true), reply).at(3).data;
  EXPECT_EQ(with.at("timings").at("predicted_n"), 9);
  EXPECT_FALSE(stream(writer(), reply).at(3).data.contains("timings"));
}

TEST(MessagesWriter, ReportsAnErrorInItsOwnShape) {
  MessagesWriter broken = writer();
  broken.start(4, 0);
  broken.token({content("a")}, {});
  EXPECT_EQ(lines(broken.fail(error_json(500, "server_error", "out of memory", true))),
            R"({"type":"error","error":{"code":500,"message":"out of memory",)"
            R"("type":"server_error"}})"
            "\n");
}

TEST(MessagesWriter, WritesTheWholeMessage) {
  const ScriptedReply reply =
      script({reasoning("hm"), content("A"), call_begin("get", "a"), call_arguments("{\"x\": [1]}"),
              call_end(), call_begin("now", "b"), call_arguments("{}"), call_end()},
             ChatFinish::Reason::ToolCalls);
  EXPECT_EQ(writer().whole(reply.finish).dump(),
            R"({"id":"msg_1","type":"message","role":"assistant","content":[)"
            R"({"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"A"},)"
            R"({"type":"tool_use","id":"toolu_a","name":"get","input":{"x":[1]}},)"
            R"({"type":"tool_use","id":"toolu_b","name":"now","input":{}}],"model":"tiny",)"
            R"("stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":8,)"
            R"("cache_creation_input_tokens":0,"cache_read_input_tokens":12,"output_tokens":9}})");
}

TEST(MessagesWriter, PingsInTheDialectsWay) {
  EXPECT_EQ(MessagesWriter::ping(), "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

}  // namespace
}  // namespace foretoken::api
