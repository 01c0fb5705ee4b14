// Both dialects through their routes, with a service that says what a script tells it.
#include "api/dialect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "api/errors.h"
#include "api/test_server.h"

namespace foretoken::api {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kMessages = "/v1/messages";
constexpr const char* kResponses = "/v1/responses";
constexpr const char* kCalls =
    "thought\n</think>\n\nWords\n\n<tool_call>\n<function=get>\n<parameter=x>\n1\n</parameter>\n"
    "</function>\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call><|im_end|>";

class Dialects : public ::testing::Test {
 protected:
  Dialects() {
    const ContextSource source = [this]() -> ContextPtr {
      return server.loading ? nullptr : server.context;
    };
    add_messages_routes(server.router, source);
    add_responses_routes(server.router, source);
  }

  static Json hello(const std::string& path) {
    if (path == kResponses) return {{"input", "hello"}};
    Json body = user_says("hello");
    body["max_tokens"] = 1000;
    return body;
  }
  static Json with_tools(const std::string& path) {
    Json body = hello(path);
    const Json schema = Json::parse(R"({"type":"object","properties":{"x":{"type":"integer"}}})");
    for (const char* name : {"get", "now"}) {
      Json tool = {{"name", name}};
      if (path == kResponses) tool["type"] = "function";
      tool[path == kResponses ? "parameters" : "input_schema"] = schema;
      body["tools"].push_back(tool);
    }
    return body;
  }

  /// The events of a stream; each record must have a name and one line of data.
  static DialectEvents events_of(const FakeExchange& exchange) {
    std::string text;
    for (const std::string& piece : exchange.pieces()) text += piece;
    DialectEvents events;
    std::istringstream stream(text);
    for (std::string name, data, blank; std::getline(stream, name);) {
      EXPECT_TRUE(std::getline(stream, data) && std::getline(stream, blank));
      EXPECT_TRUE(name.starts_with("event: ") && data.starts_with("data: ") && blank.empty());
      events.push_back({name.substr(7), Json::parse(data.substr(6))});
      EXPECT_EQ(events.back().data.at("type"), events.back().name);
    }
    return events;
  }
  DialectEvents stream(const std::string& path, Json body) {
    body["stream"] = true;
    const auto exchange = server.post(path, body);
    exchange->wait();
    EXPECT_TRUE(exchange->streamed()) << exchange->response().body;
    return events_of(*exchange);
  }
  /// Names of events, repeated ones once.
  static std::vector<std::string> outline(const DialectEvents& events) {
    std::vector<std::string> names;
    for (const DialectEvent& event : events) {
      if (names.empty() || names.back() != event.name) names.push_back(event.name);
    }
    return names;
  }
  static std::string text_of(const DialectEvents& events, const char* name,
                             const Json::json_pointer& where) {
    std::string text;
    for (const DialectEvent& event : events) {
      if (event.name == name && event.data.contains(where)) {
        text += event.data.at(where).get<std::string>();
      }
    }
    return text;
  }

  TestServer server;
};

TEST_F(Dialects, ARequestWritesFewLinesIntoTheLog) {
  server.service->will_say("</think>\n\nYes.<|im_end|>");
  Json body = hello(kMessages);
  body["tools"] = Json::array();
  for (int i = 0; i < 1000; ++i) body["tools"].push_back({{"type", "web_search_20250305"}});
  EXPECT_EQ(server.ask(kMessages, body).status, 200);
  EXPECT_EQ(server.log().size(), 16U);
  EXPECT_EQ(server.log().back(), "further remarks are left out");
}

TEST_F(Dialects, StreamAMessageWithThinkingTextAndCalls) {
  server.service->will_say(kCalls);
  const DialectEvents events = stream(kMessages, with_tools(kMessages));
  EXPECT_THAT(outline(events),
              ElementsAre("message_start", "content_block_start", "content_block_delta",
                          "content_block_stop", "content_block_start", "content_block_delta",
                          "content_block_stop", "content_block_start", "content_block_delta",
                          "content_block_stop", "content_block_start", "content_block_delta",
                          "content_block_stop", "message_delta", "message_stop"));
  const Json::json_pointer delta("/delta");
  EXPECT_EQ(text_of(events, "content_block_delta", delta / "thinking"), "thought");
  EXPECT_EQ(text_of(events, "content_block_delta", delta / "text"), "Words");
  EXPECT_EQ(text_of(events, "content_block_delta", delta / "partial_json"), "{\"x\": 1}{}");
  const Json& end = events[events.size() - 2].data;
  EXPECT_EQ(end.at("delta").at("stop_reason"), "tool_use");
  EXPECT_EQ(end.at("usage").at("output_tokens"), server.service->script(kCalls).tokens.size());
  EXPECT_FALSE(end.contains("timings"));
}

TEST_F(Dialects, StreamAResponseWithThinkingTextAndCalls) {
  server.service->will_say(kCalls);
  const DialectEvents events = stream(kResponses, with_tools(kResponses));
  const auto call = [](std::vector<std::string>& names) {
    for (const char* name :
         {"response.output_item.added", "response.function_call_arguments.delta",
          "response.function_call_arguments.done", "response.output_item.done"}) {
      names.emplace_back(name);
    }
  };
  std::vector<std::string> expected = {"response.created",
                                       "response.in_progress",
                                       "response.output_item.added",
                                       "response.content_part.added",
                                       "response.reasoning_text.delta",
                                       "response.reasoning_text.done",
                                       "response.content_part.done",
                                       "response.output_item.done",
                                       "response.output_item.added",
                                       "response.content_part.added",
                                       "response.output_text.delta",
                                       "response.output_text.done",
                                       "response.content_part.done",
                                       "response.output_item.done"};
  call(expected);
  call(expected);
  expected.emplace_back("response.completed");
  EXPECT_EQ(outline(events), expected);
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].data.at("sequence_number"), i);
  }
  const Json& response = events.back().data.at("response");
  ASSERT_EQ(response.at("output").size(), 4U);
  for (const DialectEvent& event : events) {
    if (event.name != "response.output_item.done") continue;
    EXPECT_EQ(response.at("output").at(event.data.at("output_index").get<std::size_t>()),
              event.data.at("item"));
  }
  EXPECT_EQ(response.at("output").at(2).at("arguments"), "{\"x\": 1}");
  EXPECT_EQ(response.at("usage").at("output_tokens_details").at("reasoning_tokens"),
            server.service->script("thought\n</think>").tokens.size());
  EXPECT_TRUE(events.back().data.contains("timings"));
}

TEST_F(Dialects, GiveTheSameReplyWithAndWithoutAStream) {
  server.service->will_say(kCalls);
  const Json whole = server.ask(kMessages, with_tools(kMessages)).json;
  ASSERT_EQ(whole.at("content").size(), 4U);
  EXPECT_EQ(whole.at("content").at(0).at("thinking"), "thought");
  EXPECT_EQ(whole.at("content").at(1).at("text"), "Words");
  EXPECT_EQ(whole.at("content").at(2).at("input").dump(), R"({"x":1})");
  EXPECT_EQ(whole.at("stop_reason"), "tool_use");
  EXPECT_EQ(whole.at("model"), "tiny");

  const Json streamed =
      stream(kResponses, with_tools(kResponses)).back().data.at("response").at("output");
  const Json output = server.ask(kResponses, with_tools(kResponses)).json.at("output");
  ASSERT_EQ(output.size(), streamed.size());
  for (std::size_t i = 0; i < output.size(); ++i) {
    for (const char* key : {"type", "status", "content", "arguments", "name"}) {
      EXPECT_EQ(output[i].value(key, Json()), streamed[i].value(key, Json())) << i << key;
    }
  }
}

TEST_F(Dialects, GiveEveryAnswerIdsOfItsOwn) {
  server.service->will_say(kCalls);
  std::set<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    const Json message = server.ask(kMessages, with_tools(kMessages)).json;
    EXPECT_TRUE(message.at("id").get<std::string>().starts_with("msg_"));
    ids.insert(message.at("id"));
    for (const std::size_t call : {2U, 3U}) ids.insert(message.at("content").at(call).at("id"));
    const Json response = server.ask(kResponses, with_tools(kResponses)).json;
    EXPECT_TRUE(response.at("id").get<std::string>().starts_with("resp_"));
    ids.insert(response.at("id"));
    for (const Json& item : response.at("output")) ids.insert(item.at("id"));
  }
  EXPECT_EQ(ids.size(), 3U * (3 + 5));
}

TEST_F(Dialects, AcceptTheirOwnCallsBackInTheHistory) {
  server.service->will_say(kCalls);
  Json body = with_tools(kMessages);
  const Json message = server.ask(kMessages, body).json;
  body["messages"].push_back({{"role", "assistant"}, {"content", message.at("content")}});
  Json result = {{"type", "tool_result"}, {"content", "r"}};
  result["tool_use_id"] = message.at("content").at(2).at("id");
  body["messages"].push_back({{"role", "user"}, {"content", Json::array({result})}});
  EXPECT_EQ(server.ask(kMessages, body).status, 200);

  body = with_tools(kResponses);
  const Json response = server.ask(kResponses, body).json;
  body["input"] = Json::array({{{"role", "user"}, {"content", "hello"}}});
  for (const Json& item : response.at("output")) body["input"].push_back(item);
  Json output = {{"type", "function_call_output"}, {"output", "r"}};
  output["call_id"] = response.at("output").at(2).at("call_id");
  body["input"].push_back(output);
  EXPECT_EQ(server.ask(kResponses, body).status, 200);

  const auto seen = server.service->seen();
  EXPECT_EQ(seen[1].prompt, seen[3].prompt);  // both dialects say the same
  EXPECT_THAT(server.tokenizer->decode(seen[1].prompt),
              HasSubstr("<think>\nthought\n</think>\n\nWords\n\n<tool_call>\n<function=get>\n"
                        "<parameter=x>\n1\n</parameter>\n"));
}

TEST_F(Dialects, SayWhyAMessageEnded) {
  server.service->will_say("</think>one END two<|im_end|>");
  Json body = hello(kMessages);
  body["stop_sequences"] = {"END"};
  Json message = server.ask(kMessages, body).json;
  EXPECT_EQ(message.at("stop_reason"), "stop_sequence");
  EXPECT_EQ(message.at("stop_sequence"), "END");
  body.erase("stop_sequences");
  body["max_tokens"] = 4;
  message = server.ask(kMessages, body).json;
  EXPECT_EQ(message.at("stop_reason"), "max_tokens");
  EXPECT_EQ(message.at("usage").at("output_tokens"), 4);

  body = hello(kResponses);
  body["max_output_tokens"] = 4;
  const Json response = server.ask(kResponses, body).json;
  EXPECT_EQ(response.at("status"), "incomplete");
  EXPECT_EQ(response.at("incomplete_details").at("reason"), "max_output_tokens");
}

TEST_F(Dialects, CountCachedTokensInTheirOwnWay) {
  server.service->will_say("</think>ok<|im_end|>");
  server.ask(kMessages, hello(kMessages));
  const Json usage = server.ask(kMessages, hello(kMessages)).json.at("usage");
  const auto n_prompt = static_cast<int>(server.service->seen()[0].prompt.size());
  EXPECT_EQ(usage.dump(), Json({{"input_tokens", 1},
                                {"cache_creation_input_tokens", 0},
                                {"cache_read_input_tokens", n_prompt - 1},
                                {"output_tokens", 4}})
                              .dump());
  const Json other = server.ask(kResponses, hello(kResponses)).json.at("usage");
  EXPECT_EQ(other.at("input_tokens"), n_prompt);
  EXPECT_EQ(other.at("input_tokens_details").at("cached_tokens"), n_prompt - 1);
}

TEST_F(Dialects, KeepSilentStreamsAlive) {
  server.service->will_say("</think>ok<|im_end|>");
  for (const char* path : {kMessages, kResponses}) {
    Json body = hello(path);
    body["stream"] = true;
    body["sse_ping_interval"] = 7;
    const auto exchange = server.post(path, body);
    exchange->wait();
    EXPECT_EQ(exchange->options().ping_seconds, 7.0);
    EXPECT_EQ(exchange->options().ping,
              path == kMessages ? "event: ping\ndata: {\"type\":\"ping\"}\n\n" : ":\n\n");
    EXPECT_THAT(
        exchange->options().headers,
        ::testing::Contains(std::pair<std::string, std::string>("Cache-Control", "no-cache")));
  }
}

TEST_F(Dialects, ReportProgressAndTimingsWhenAsked) {
  server.service->will_say("</think>ok<|im_end|>");
  Json body = hello(kResponses);
  body["return_progress"] = true;
  body["timings_per_token"] = true;
  int n_progress = 0;
  for (const DialectEvent& event : stream(kResponses, body)) {
    if (event.data.contains("prompt_progress")) {
      EXPECT_EQ(event.name, "response.in_progress");
      ++n_progress;
    }
    EXPECT_TRUE(event.name != "response.output_text.delta" || event.data.contains("timings"));
  }
  EXPECT_GE(n_progress, 2);
  body = hello(kMessages);
  body["timings_per_token"] = true;
  const DialectEvents events = stream(kMessages, body);
  EXPECT_TRUE(events[events.size() - 2].data.contains("timings"));
}

TEST_F(Dialects, EndABrokenStreamWithAnErrorEvent) {
  Script script = server.service->script("</think>so far");
  script.error = "the engine ran out of memory";
  server.service->will_say(script);
  const DialectEvents messages = stream(kMessages, hello(kMessages));
  EXPECT_EQ(messages.back().name, "error");
  EXPECT_EQ(messages.back().data.dump(),
            R"({"type":"error","error":{"code":500,"message":"the engine ran out of memory",)"
            R"("type":"server_error"}})");
  const DialectEvents responses = stream(kResponses, hello(kResponses));
  EXPECT_EQ(responses[responses.size() - 2].name, "response.failed");
  EXPECT_EQ(responses.back().data.at("error").at("message"), "the engine ran out of memory");

  const auto whole = server.ask(kMessages, hello(kMessages));
  EXPECT_EQ(whole.status, 500);
  EXPECT_EQ(whole.json.at("type"), "error");
  EXPECT_EQ(server.ask(kResponses, hello(kResponses)).status, 500);
}

TEST_F(Dialects, SayWhenARequestItselfBrokeItsReply) {
  Script script = server.service->script("</think>so far");
  script.error = "the grammar is too ambiguous";
  script.bad_request = true;
  server.service->will_say(script);
  EXPECT_EQ(server.ask(kMessages, hello(kMessages)).status, 400);
  EXPECT_EQ(server.ask(kResponses, hello(kResponses)).status, 400);
}

TEST_F(Dialects, CancelWhenTheClientGoesAway) {
  for (const char* path : {kMessages, kResponses}) {
    server.service->will_say("</think>a long reply that nobody reads<|im_end|>");
    server.service->hold(true);
    Json body = hello(path);
    body["stream"] = true;
    const auto exchange = server.post(path, body);
    exchange->wait_for_pieces(1);
    exchange->close();
    server.service->hold(false);
    exchange->wait();
    const auto id = server.service->seen().size();
    EXPECT_THAT(server.service->cancelled(), ::testing::Contains(id));
  }
}

TEST_F(Dialects, RefuseBeforeTheStreamBeginsWithAnOrdinaryError) {
  const auto refusal = [&](const std::string& path, Json body) {
    body["stream"] = true;
    return TestServer::finish(server.post(path, body));
  };
  Json body = user_says(std::string(5000, 'x'));
  auto answer = refusal(kMessages, body);
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.json.at("type"), "error");
  EXPECT_EQ(answer.json.at("error").at("type"), "exceed_context_size_error");
  EXPECT_EQ(answer.json.at("error").at("n_ctx"), 4096);

  answer = refusal(kResponses, {{"input", std::string(5000, 'x')}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_FALSE(answer.json.contains("type"));
  EXPECT_EQ(answer.json.at("error").at("type"), "exceed_context_size_error");

  answer = refusal(kMessages, Json::object());
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.json.dump(),
            R"({"type":"error","error":{"code":400,"message":)"
            R"("Field 'messages': is required: an array","type":"invalid_request_error"}})");

  server.service->queue_bound = 0;
  EXPECT_EQ(refusal(kMessages, hello(kMessages)).status, 503);
  EXPECT_EQ(refusal(kResponses, hello(kResponses)).status, 503);
  server.loading = true;
  EXPECT_EQ(refusal(kMessages, hello(kMessages)).json.at("error").at("message"), "Loading model");
  EXPECT_EQ(refusal(kResponses, hello(kResponses)).status, 503);
}

TEST_F(Dialects, RefusePicturesWithTheUsualHint) {
  Json body = Json::parse(R"({"messages":[{"role":"user","content":[
      {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]}]})");
  auto answer = server.ask(kMessages, body);
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.json.at("error").at("message").get<std::string>(),
              ::testing::StartsWith("image input is not supported - hint:"));
  body = Json::parse(R"({"input":[{"role":"user","content":[
      {"type":"input_image","image_url":"data:image/png;base64,AA=="}]}]})");
  answer = server.ask(kResponses, body);
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.json.at("error").at("message").get<std::string>(),
              ::testing::StartsWith("image input is not supported - hint:"));
}

TEST_F(Dialects, CountTokensWithoutTheWorker) {
  server.service->queue_bound = 0;
  const auto n = [&](const std::string& path, const Json& body) {
    return server.ask(path + (path == kMessages ? "/count_tokens" : "/input_tokens"), body).json;
  };
  const Json messages = n(kMessages, hello(kMessages));
  const Json responses = n(kResponses, hello(kResponses));
  EXPECT_THAT(keys_of(messages), ElementsAre("input_tokens"));
  EXPECT_EQ(responses.at("object"), "response.input_tokens");
  EXPECT_EQ(messages.at("input_tokens"), responses.at("input_tokens"));
  EXPECT_GT(n(kMessages, with_tools(kMessages)).at("input_tokens"), messages.at("input_tokens"));
  EXPECT_GT(n(kMessages, user_says(std::string(9000, 'x'))).at("input_tokens"), 9000);
  EXPECT_TRUE(server.service->seen().empty());
}

TEST_F(Dialects, HandSamplingToolChoiceAndThinkingOn) {
  server.service->will_say("ok<|im_end|>");
  Json body = with_tools(kMessages);
  body["tool_choice"] = {{"type", "tool"}, {"name", "now"}};
  body["temperature"] = 0.25;
  body["thinking"] = {{"type", "disabled"}};
  server.ask(kMessages, body);
  body = with_tools(kResponses);
  body["tool_choice"] = "none";
  body["top_p"] = 0.5;
  body["reasoning"] = {{"effort", "none"}};
  server.ask(kResponses, body);
  const auto seen = server.service->seen();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_TRUE(seen[0].constrained);
  EXPECT_EQ(seen[0].sampling.temperature, 0.25F);
  EXPECT_EQ(seen[0].max_tokens, 1000);
  EXPECT_EQ(seen[1].sampling.top_p, 0.5F);
  for (const auto& request : seen) {
    EXPECT_TRUE(server.tokenizer->decode(request.prompt).ends_with("<think>\n\n</think>\n\n"));
  }
}

TEST_F(Dialects, ServeAgentsRequests) {
  server.service->n_ctx = 100'000;
  server.service->will_say(
      "look\n</think>\n\n<tool_call>\n<function=Bash>\n<parameter=command>\nls\n</parameter>\n"
      "</function>\n</tool_call><|im_end|>");
  for (const auto& [path, fixture, call] :
       {std::tuple{kMessages, "claude_code_1.json", "content_block_start"},
        std::tuple{kMessages, "claude_code_2.json", "content_block_start"},
        std::tuple{kResponses, "codex.json", "response.output_item.added"}}) {
    std::ifstream file(std::string(FORETOKEN_SOURCE_DIR "/tests/data/dialects/") + fixture);
    const DialectEvents events = stream(path, Json::parse(file));
    const auto n = std::count_if(events.begin(), events.end(),
                                 [&](const DialectEvent& event) { return event.name == call; });
    EXPECT_EQ(n, 2) << fixture;  // thinking and a call
    EXPECT_TRUE(events.back().name == "message_stop" || events.back().name == "response.completed");
  }
  const auto seen = server.service->seen();
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].max_tokens, 32000);
  EXPECT_TRUE(seen[0].constrained);  // calls follow their schemas
}

TEST_F(Dialects, SayWhichToolsWereLeftOut) {
  server.service->will_say("</think>ok<|im_end|>");
  Json body = hello(kResponses);
  body["tools"] = Json::array({{{"type", "web_search"}}});
  EXPECT_EQ(server.ask(kResponses, body).status, 200);
  EXPECT_THAT(server.log(), ::testing::Contains(HasSubstr("'web_search' is left out")));
}

/// A run that only remembers being cancelled.
class CountingRun : public ChatRun {
 public:
  void cancel() override { ++n_cancelled; }
  bool end_reasoning() override { return false; }
  scheduler::RequestId id() const override { return 1; }
  int n_cancelled = 0;
};

class SilentWriter : public DialectWriter {
 public:
  DialectEvents start(int, int) override { return {}; }
  DialectEvents progress(int, int, int, double) override { return {}; }
  DialectEvents token(const std::vector<ChatDelta>&, const scheduler::Timings&) override {
    return {};
  }
  DialectEvents finish(const std::vector<ChatDelta>&, const ChatFinish&) override { return {}; }
  DialectEvents fail(const Json& error) override { return {{"error", error}}; }
  Json whole(const ChatFinish&) override { return Json::object(); }
};

TEST(DialectListener, LetsGoOfTheRunWhenTheReplyIsOver) {
  for (const bool over_before_attached : {false, true}) {
    const auto exchange = std::make_shared<FakeExchange>(http::Request());
    const auto listener = std::make_shared<DialectListener>(
        exchange, std::make_unique<SilentWriter>(), DialectOptions{.stream = true});
    auto run = std::make_shared<CountingRun>();
    listener->on_start(1, 0);
    if (over_before_attached) listener->on_finish({}, {});
    listener->attach(run);
    if (!over_before_attached) listener->on_finish({}, {});
    EXPECT_EQ(run.use_count(), 1);
    exchange->close();
    EXPECT_EQ(run->n_cancelled, 0);
  }
}

TEST(DialectListener, CancelsAtOnceWhenTheClientIsGoneAlready) {
  const auto exchange = std::make_shared<FakeExchange>(http::Request());
  exchange->close();
  const auto listener = std::make_shared<DialectListener>(
      exchange, std::make_unique<SilentWriter>(), DialectOptions{.stream = true});
  const auto run = std::make_shared<CountingRun>();
  listener->attach(run);
  EXPECT_EQ(run->n_cancelled, 1);
}

TEST(DialectListener, AnswersAnErrorBeforeTheStartWithItsStatus) {
  for (const auto reason : {ChatFinish::Reason::Error, ChatFinish::Reason::Cancelled}) {
    const auto exchange = std::make_shared<FakeExchange>(http::Request());
    DialectListener listener(exchange, std::make_unique<SilentWriter>(),
                             DialectOptions{.stream = true, .anthropic = true});
    ChatFinish finish;
    finish.reason = reason;
    finish.error = "no memory";
    listener.on_finish({}, finish);
    exchange->wait();
    EXPECT_FALSE(exchange->streamed());
    EXPECT_EQ(exchange->response().status, reason == ChatFinish::Reason::Error ? 500 : 503);
    EXPECT_EQ(Json::parse(exchange->response().body).at("type"), "error");
  }
}

}  // namespace
}  // namespace foretoken::api
