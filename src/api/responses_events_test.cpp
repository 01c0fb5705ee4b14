// OpenAI's Responses events, byte for byte, for scripted replies.
#include "api/responses_events.h"

#include <gtest/gtest.h>

#include <set>

#include "api/errors.h"
#include "api/scripted_reply.h"

namespace foretoken::api {
namespace {

/// Ids count up: resp_0, then items from 1.
ResponsesWriter writer(bool timings_per_token = false) {
  ResponsesSettings settings;
  settings.model = "tiny";
  settings.created_at = 1000;
  settings.timings_per_token = timings_per_token;
  return ResponsesWriter(std::move(settings), [n = 0]() mutable { return std::to_string(n++); });
}

/// The data of all events without type and number, those being checked: "type rest".
std::vector<std::string> lines(const DialectEvents& events, int first_number = 2) {
  std::vector<std::string> result;
  for (const DialectEvent& event : events) {
    Json data = event.data;
    EXPECT_EQ(data.at("type"), event.name);
    EXPECT_EQ(data.at("sequence_number"), first_number++);
    data.erase("type");
    data.erase("sequence_number");
    data.erase("timings");
    result.push_back(event.name.substr(event.name.find('.') + 1) + " " + data.dump());
  }
  return result;
}

using Lines = std::vector<std::string>;

std::string response(const std::string& status, const std::string& details,
                     const std::string& output) {
  return R"({"id":"resp_0","object":"response","created_at":1000,"completed_at":1002,"status":")" +
         status + R"(","error":null,"incomplete_details":)" + details +
         R"(,"model":"tiny","output":)" + output +
         R"(,"usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":12},)"
         R"("output_tokens":9,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":29}})";
}

std::string completed(const std::string& output) {
  return R"(completed {"response":)" + response("completed", "null", output) + "}";
}

std::string text_part(const std::string& text) {
  return R"({"type":"output_text","annotations":[],"logprobs":[],"text":")" + text + R"("})";
}
std::string message(int id, const std::string& parts, const std::string& status) {
  return R"({"id":"msg_)" + std::to_string(id) +
         R"(","type":"message","role":"assistant","content":[)" + parts + R"(],"status":")" +
         status + R"("})";
}
std::string thoughts(int id, const std::string& parts, const std::string& status) {
  return R"({"id":"rs_)" + std::to_string(id) + R"(","type":"reasoning","summary":[],"content":[)" +
         parts + R"(],"encrypted_content":"","status":")" + status + R"("})";
}
std::string call(const std::string& id, const std::string& name, const std::string& arguments,
                 const std::string& status) {
  return R"({"id":"fc_)" + id + R"(","type":"function_call","call_id":"call_)" + id +
         R"(","name":")" + name + R"(","arguments":")" + arguments + R"(","status":")" + status +
         R"("})";
}
std::string in_item(const std::string& id, int output, const std::string& rest) {
  return R"({"item_id":")" + id + R"(","output_index":)" + std::to_string(output) + "," + rest +
         "}";
}

TEST(ResponsesWriter, BeginsWithTwoEventsAboutAnEmptyResponse) {
  const std::string empty =
      R"({"response":{"id":"resp_0","object":"response","created_at":1000,"completed_at":null,)"
      R"("status":"in_progress","error":null,"incomplete_details":null,"model":"tiny",)"
      R"("output":[],"usage":null}})";
  EXPECT_EQ(lines(writer().start(20, 12), 0), (Lines{"created " + empty, "in_progress " + empty}));
}

TEST(ResponsesWriter, WritesText) {
  const std::string done = message(1, text_part("Hello"), "completed");
  EXPECT_EQ(
      lines(stream(writer(), script({content("Hel"), content(""), content("lo")}))),
      (Lines{R"(output_item.added {"output_index":0,"item":)" + message(1, "", "in_progress") + "}",
             "content_part.added " +
                 in_item("msg_1", 0, R"("content_index":0,"part":)" + text_part("")),
             "output_text.delta " +
                 in_item("msg_1", 0, R"("content_index":0,"delta":"Hel","logprobs":[])"),
             "output_text.delta " +
                 in_item("msg_1", 0, R"("content_index":0,"delta":"lo","logprobs":[])"),
             "output_text.done " +
                 in_item("msg_1", 0, R"("content_index":0,"text":"Hello","logprobs":[])"),
             "content_part.done " +
                 in_item("msg_1", 0, R"("content_index":0,"part":)" + text_part("Hello")),
             R"(output_item.done {"output_index":0,"item":)" + done + "}",
             completed("[" + done + "]")}));
}

TEST(ResponsesWriter, EndsEachItemBeforeTheNextBegins) {
  const ScriptedReply reply = script(
      {reasoning("hm"), content("A"), call_begin("get", "a"), call_arguments("{\"x\": "),
       call_arguments("1}"), call_end(), call_begin("now", "b"), call_arguments("{}"), call_end()},
      ChatFinish::Reason::ToolCalls);
  const std::string rs = thoughts(1, R"({"type":"reasoning_text","text":"hm"})", "completed");
  const std::string msg = message(2, text_part("A"), "completed");
  const std::string get = call("a", "get", R"({\"x\": 1})", "completed");
  const std::string now = call("b", "now", "{}", "completed");
  EXPECT_EQ(
      lines(stream(writer(), reply)),
      (Lines{
          R"(output_item.added {"output_index":0,"item":)" + thoughts(1, "", "in_progress") + "}",
          "content_part.added " +
              in_item("rs_1", 0, R"("content_index":0,"part":{"type":"reasoning_text","text":""})"),
          "reasoning_text.delta " + in_item("rs_1", 0, R"("content_index":0,"delta":"hm")"),
          "reasoning_text.done " + in_item("rs_1", 0, R"("content_index":0,"text":"hm")"),
          "content_part.done " +
              in_item("rs_1", 0,
                      R"("content_index":0,"part":{"type":"reasoning_text","text":"hm"})"),
          R"(output_item.done {"output_index":0,"item":)" + rs + "}",
          R"(output_item.added {"output_index":1,"item":)" + message(2, "", "in_progress") + "}",
          "content_part.added " +
              in_item("msg_2", 1, R"("content_index":0,"part":)" + text_part("")),
          "output_text.delta " +
              in_item("msg_2", 1, R"("content_index":0,"delta":"A","logprobs":[])"),
          "output_text.done " +
              in_item("msg_2", 1, R"("content_index":0,"text":"A","logprobs":[])"),
          "content_part.done " +
              in_item("msg_2", 1, R"("content_index":0,"part":)" + text_part("A")),
          R"(output_item.done {"output_index":1,"item":)" + msg + "}",
          R"(output_item.added {"output_index":2,"item":)" + call("a", "get", "", "in_progress") +
              "}",
          "function_call_arguments.delta " + in_item("fc_a", 2, R"("delta":"{\"x\": ")"),
          "function_call_arguments.delta " + in_item("fc_a", 2, R"("delta":"1}")"),
          "function_call_arguments.done " +
              in_item("fc_a", 2, R"("name":"get","arguments":"{\"x\": 1}")"),
          R"(output_item.done {"output_index":2,"item":)" + get + "}",
          R"(output_item.added {"output_index":3,"item":)" + call("b", "now", "", "in_progress") +
              "}",
          "function_call_arguments.delta " + in_item("fc_b", 3, R"("delta":"{}")"),
          "function_call_arguments.done " + in_item("fc_b", 3, R"("name":"now","arguments":"{}")"),
          R"(output_item.done {"output_index":3,"item":)" + now + "}",
          completed("[" + rs + "," + msg + "," + get + "," + now + "]")}));
}

TEST(ResponsesWriter, MarksACutReplyIncompleteAndStillCompletesTheStream) {
  const std::string msg = message(1, text_part("A"), "incomplete");
  const Lines events = lines(stream(writer(), script({content("A")}, ChatFinish::Reason::Length)));
  ASSERT_EQ(events.size(), 7U);
  EXPECT_EQ(events[5], R"(output_item.done {"output_index":0,"item":)" + msg + "}");
  EXPECT_EQ(events[6],
            R"(completed {"response":)" +
                response("incomplete", R"({"reason":"max_output_tokens"})", "[" + msg + "]") + "}");
}

TEST(ResponsesWriter, MarksACallThatBrokeOffIncomplete) {
  const ScriptedReply reply =
      script({call_begin("get", "a"), call_arguments("{\"x"), content("<tool_call>")});
  const Lines events = lines(stream(writer(), reply));
  EXPECT_EQ(events[3], R"(output_item.done {"output_index":0,"item":)" +
                           call("a", "get", R"({\"x)", "incomplete") + "}");
  EXPECT_EQ(events.back(), completed("[" + call("a", "get", R"({\"x)", "incomplete") + "," +
                                     message(1, text_part("<tool_call>"), "completed") + "]"));
}

TEST(ResponsesWriter, CompletesAnEmptyReply) {
  EXPECT_EQ(lines(stream(writer(), script({}))), (Lines{completed("[]")}));
}

TEST(ResponsesWriter, AttachesProgressAndTimingsToTheLastEventOfABatch) {
  ResponsesWriter reporting = writer(true);
  reporting.start(20, 12);
  const DialectEvents progress = reporting.progress(16, 20, 12, 5.0);
  ASSERT_EQ(progress.size(), 1U);
  EXPECT_EQ(progress[0].name, "response.in_progress");
  EXPECT_EQ(progress[0].data.at("prompt_progress").dump(),
            R"({"total":20,"cache":12,"processed":16,"time_ms":5.0})");

  const DialectEvents first = reporting.token({content("A")}, script({}).finish.timings);
  ASSERT_EQ(first.size(), 3U);
  EXPECT_FALSE(first[1].data.contains("timings"));
  EXPECT_EQ(first[2].data.at("timings").at("predicted_n"), 9);

  const DialectEvents last = stream(writer(), script({content("A")}));
  EXPECT_EQ(last.back().data.at("timings").at("prompt_n"), 8);  // always at the end
  EXPECT_FALSE(last.front().data.contains("timings"));
}

TEST(ResponsesWriter, FailsWithAnEventForEveryKindOfClient) {
  ResponsesWriter broken = writer();
  broken.start(20, 12);
  broken.token({content("A")}, {});
  const DialectEvents events = broken.fail(error_json(500, "server_error", "out of memory"));
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].name, "response.failed");
  EXPECT_EQ(events[0].data.at("response").at("status"), "failed");
  EXPECT_EQ(events[0].data.at("response").at("error").dump(),
            R"({"code":"server_error","message":"out of memory"})");
  EXPECT_EQ(events[1].name, "error");
  EXPECT_EQ(events[1].data.dump(),
            R"({"type":"error","sequence_number":6,"code":"server_error",)"
            R"("message":"out of memory","param":null,)"
            R"("error":{"code":500,"message":"out of memory","type":"server_error"}})");
}

TEST(ResponsesWriter, WritesTheWholeResponse) {
  const ScriptedReply reply = script(
      {reasoning("hm"), content("A"), call_begin("get", "a"), call_arguments("{}"), call_end()},
      ChatFinish::Reason::ToolCalls);
  EXPECT_EQ(writer().whole(reply.finish).dump(),
            response("completed", "null",
                     "[" + thoughts(1, R"({"type":"reasoning_text","text":"hm"})", "completed") +
                         "," + message(2, text_part("A"), "completed") + "," +
                         call("a", "get", "{}", "completed") + "]"));
}

TEST(ResponsesWriter, MarksOnlyTheLastItemOfACutReplyIncomplete) {
  const auto statuses = [](std::vector<ChatDelta> deltas) {
    std::string text;
    const ScriptedReply reply = script(std::move(deltas), ChatFinish::Reason::Length);
    const Json whole = writer().whole(reply.finish);
    EXPECT_EQ(whole.at("status"), "incomplete");
    EXPECT_EQ(whole.at("incomplete_details").at("reason"), "max_output_tokens");
    for (const Json& item : whole.at("output")) text += item.at("status").get<std::string>() + " ";
    return text;
  };
  EXPECT_EQ(statuses({reasoning("hm")}), "incomplete ");
  EXPECT_EQ(statuses({reasoning("hm"), content("A")}), "completed incomplete ");
  EXPECT_EQ(statuses({content("A"), call_begin("f", "a"), call_arguments("{}"), call_end()}),
            "completed completed ");
}

TEST(ResponsesWriter, RepeatsTheRequestsSettings) {
  const Json body = Json::parse(R"({"instructions":"I","tools":[{"type":"function","name":"f"}],
      "temperature":0.5,"metadata":null,"input":"x"})");
  ResponsesSettings settings;
  settings.echo = responses_echo(body);
  ResponsesWriter echoing(std::move(settings), [] { return "x"; });
  const Json whole = echoing.whole(script({content("A")}).finish);
  EXPECT_EQ(whole.at("instructions"), "I");
  EXPECT_EQ(whole.at("tools"), body.at("tools"));
  EXPECT_EQ(whole.at("temperature"), 0.5);
  EXPECT_EQ(whole.at("metadata"), Json::object());
  EXPECT_EQ(whole.at("parallel_tool_calls"), true);
  EXPECT_EQ(whole.at("tool_choice"), "auto");
  EXPECT_FALSE(whole.contains("input"));
  std::set<std::string> keys;
  for (const auto& [key, value] : whole.items()) keys.insert(key);
  EXPECT_EQ(keys, (std::set<std::string>{"id",
                                         "object",
                                         "created_at",
                                         "completed_at",
                                         "status",
                                         "error",
                                         "incomplete_details",
                                         "model",
                                         "output",
                                         "usage",
                                         "instructions",
                                         "max_output_tokens",
                                         "metadata",
                                         "parallel_tool_calls",
                                         "previous_response_id",
                                         "reasoning",
                                         "store",
                                         "temperature",
                                         "text",
                                         "tool_choice",
                                         "tools",
                                         "top_p"}));
}

}  // namespace
}  // namespace foretoken::api
