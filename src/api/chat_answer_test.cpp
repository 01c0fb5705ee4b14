#include "api/chat_answer.h"

#include <gtest/gtest.h>

#include "api/test_server.h"

namespace foretoken::api {
namespace {

constexpr const char* kPath = "/v1/chat/completions";
constexpr const char* kThinks = "so\n</think>\n\nHi!<|im_end|>";

class ChatAnswers : public testing::Test {
 protected:
  /// A chat without thinking.
  static Json plain() {
    Json body = user_says("hello");
    body["chat_template_kwargs"] = Json{{"enable_thinking", false}};
    return body;
  }
  static Json with_tool(Json body) {
    body["tools"] = Json::parse(R"([{"type": "function", "function": {"name": "add",
        "parameters": {"type": "object", "properties": {"x": {"type": "integer"},
        "s": {"type": "string"}}}}}])");
    return body;
  }
  struct Joined {
    std::string reasoning;
    std::string content;
    std::vector<Json> calls;  // {"id", "name", "arguments"}
    std::string finish;
    int n_finish = 0;
  };
  /// Puts one choice's deltas together again.
  static Joined join(const std::vector<Json>& records, int index = 0) {
    Joined out;
    for (const Json& record : records) {
      if (!record.is_object() || record["choices"].empty()) continue;
      const Json& choice = record["choices"][0];
      if (choice["index"] != index) continue;
      const Json& delta = choice["delta"];
      if (delta.contains("content") && delta["content"].is_string()) {
        out.content += delta["content"].get<std::string>();
      }
      if (delta.contains("reasoning_content")) {
        out.reasoning += delta["reasoning_content"].get<std::string>();
      }
      if (delta.contains("tool_calls")) {
        const Json& call = delta["tool_calls"][0];
        const auto at = call["index"].get<std::size_t>();
        if (call.contains("id")) {
          EXPECT_EQ(out.calls.size(), at) << "a call begins once, in order";
          out.calls.push_back(
              {{"id", call["id"]}, {"name", call["function"]["name"]}, {"arguments", ""}});
        } else {
          EXPECT_EQ(keys_of(call["function"]), std::vector<std::string>{"arguments"});
          out.calls.at(at)["arguments"] = out.calls.at(at)["arguments"].get<std::string>() +
                                          call["function"]["arguments"].get<std::string>();
        }
      }
      if (!choice["finish_reason"].is_null()) {
        out.finish = choice["finish_reason"];
        ++out.n_finish;
      }
    }
    return out;
  }
  TestServer server_;
};

TEST_F(ChatAnswers, WholeAnswerHasExactlyTheKnownKeys) {
  server_.service->will_say(kThinks);
  const auto [status, json] = server_.ask(kPath, user_says("hello"));
  EXPECT_EQ(status, 200);
  EXPECT_EQ(keys_of(json),
            (std::vector<std::string>{"choices", "created", "model", "system_fingerprint", "object",
                                      "usage", "id", "timings"}));
  EXPECT_EQ(json["model"], "tiny");
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["system_fingerprint"], "b1-ft0123abc");
  EXPECT_EQ(json["id"].get<std::string>().substr(0, 9), "chatcmpl-");
  EXPECT_EQ(json["id"].get<std::string>().size(), 41U);
  const Json& choice = json["choices"][0];
  EXPECT_EQ(keys_of(choice), (std::vector<std::string>{"finish_reason", "index", "message"}));
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["message"],
            (Json{{"role", "assistant"}, {"content", "Hi!"}, {"reasoning_content", "so"}}));
  const Json& usage = json["usage"];
  EXPECT_EQ(keys_of(usage),
            (std::vector<std::string>{"completion_tokens", "prompt_tokens", "total_tokens",
                                      "prompt_tokens_details", "completion_tokens_details"}));
  // s, o, newline, </think>, two newlines, H, i, !, end
  EXPECT_EQ(usage["completion_tokens"], 10);
  EXPECT_EQ(usage["completion_tokens_details"]["reasoning_tokens"], 4);
  EXPECT_EQ(usage["total_tokens"].get<int>(), usage["prompt_tokens"].get<int>() + 10);
}

TEST_F(ChatAnswers, StreamHasRoleThenDeltasThenReasonThenDone) {
  server_.service->will_say(kThinks);
  const std::vector<Json> records = server_.stream(kPath, user_says("hello"));
  std::vector<Json> deltas;
  for (const Json& record : records) {
    if (!record.is_object()) continue;
    EXPECT_EQ(record["object"], "chat.completion.chunk");
    EXPECT_EQ(record["id"], records[0]["id"]);
    EXPECT_EQ(record["model"], "tiny");
    EXPECT_EQ(record["choices"].size(), 1U);
    deltas.push_back(record["choices"][0]["delta"]);
  }
  const std::vector<Json> expected = {{{"role", "assistant"}, {"content", nullptr}},
                                      {{"reasoning_content", "s"}},
                                      {{"reasoning_content", "o"}},
                                      {{"content", "H"}},
                                      {{"content", "i"}},
                                      {{"content", "!"}},
                                      Json::object()};
  EXPECT_EQ(deltas, expected);
  EXPECT_EQ(records.back(), "[DONE]");
  for (std::size_t i = 0; i + 2 < records.size(); ++i) {
    EXPECT_TRUE(records[i]["choices"][0]["finish_reason"].is_null());
    EXPECT_FALSE(records[i].contains("timings")) << i;
    EXPECT_FALSE(records[i].contains("usage")) << i;
  }
  const Json& last = records[records.size() - 2];
  EXPECT_EQ(last["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(last.contains("timings"));
  EXPECT_FALSE(last.contains("usage"));
}

TEST_F(ChatAnswers, UsageComesInARecordOfItsOwnAndTakesTheTimings) {
  server_.service->will_say("Hi<|im_end|>");
  Json body = plain();
  body["stream_options"] = Json{{"include_usage", true}};
  const std::vector<Json> records = server_.stream(kPath, body);
  const Json& reason = records[records.size() - 3];
  const Json& usage = records[records.size() - 2];
  EXPECT_EQ(reason["choices"][0]["finish_reason"], "stop");
  EXPECT_FALSE(reason.contains("timings"));
  EXPECT_EQ(usage["choices"], Json::array());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 3);
  EXPECT_TRUE(usage.contains("timings"));
}

TEST_F(ChatAnswers, TimingsPerTokenStandOnEveryRecordBehindTheFirst) {
  server_.service->will_say("Hello<|im_end|>");
  Json body = plain();
  body["timings_per_token"] = true;
  const std::vector<Json> records = server_.stream(kPath, body);
  EXPECT_FALSE(records[0].contains("timings"));
  for (std::size_t i = 1; i + 1 < records.size(); ++i) {
    EXPECT_EQ(records[i]["timings"]["predicted_n"], std::min<std::size_t>(i, 6)) << i;
  }
}

TEST_F(ChatAnswers, TimingsHaveExactlyTheKnownKeysAndAreFinite) {
  const std::vector<std::string> plain_keys = {"cache_n",
                                               "prompt_n",
                                               "prompt_ms",
                                               "prompt_per_token_ms",
                                               "prompt_per_second",
                                               "predicted_n",
                                               "predicted_ms",
                                               "predicted_per_token_ms",
                                               "predicted_per_second"};
  server_.service->will_say("x<|im_end|>");
  Json body = plain();
  body["max_tokens"] = 1;
  Json timings = server_.ask(kPath, body).json["timings"];
  EXPECT_EQ(keys_of(timings), plain_keys);
  EXPECT_EQ(timings["predicted_n"], 1);
  EXPECT_EQ(timings["predicted_per_second"], 0.0);
  EXPECT_EQ(timings["predicted_per_token_ms"], 0.0);

  Script drafted = server_.service->script("abcd<|im_end|>");
  drafted.from_draft = {false, true, true, false};
  server_.service->will_say(drafted);
  server_.ask(kPath, plain());  // the script before
  timings = server_.ask(kPath, plain()).json["timings"];
  std::vector<std::string> with_drafts = plain_keys;
  for (const char* key : {"draft_n", "draft_n_accepted", "draft_kind", "draft_rounds",
                          "draft_per_pos", "draft_ms", "verify_ms"}) {
    with_drafts.emplace_back(key);
  }
  EXPECT_EQ(keys_of(timings), with_drafts);
  EXPECT_EQ(timings["draft_n_accepted"], 2);
  EXPECT_EQ(timings["draft_per_pos"], Json::array({2}));
}

TEST_F(ChatAnswers, ToolCallsComeWholeAndStreamed) {
  const std::string text =
      "Sure.\n\n<tool_call>\n<function=add>\n<parameter=x>\n42\n</parameter>\n<parameter=s>\n42\n"
      "</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=add>\n</function>\n"
      "</tool_call><|im_end|>";
  server_.service->will_say(text);
  const Json whole = server_.ask(kPath, with_tool(plain())).json["choices"][0];
  EXPECT_EQ(whole["finish_reason"], "tool_calls");
  EXPECT_EQ(whole["message"]["content"], "Sure.");
  const Json& calls = whole["message"]["tool_calls"];
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(keys_of(calls[0]), (std::vector<std::string>{"type", "function", "id"}));
  EXPECT_EQ(calls[0]["function"]["name"], "add");
  EXPECT_EQ(Json::parse(calls[0]["function"]["arguments"].get<std::string>()),
            (Json{{"x", 42}, {"s", "42"}}));
  EXPECT_NE(calls[0]["id"], calls[1]["id"]);
  EXPECT_TRUE(server_.service->seen()[0].constrained);

  const std::vector<Json> records = server_.stream(kPath, with_tool(plain()));
  const Joined joined = join(records);
  EXPECT_EQ(joined.content, "Sure.");
  EXPECT_EQ(joined.finish, "tool_calls");
  ASSERT_EQ(joined.calls.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(joined.calls[i]["name"], calls[i]["function"]["name"]);
    EXPECT_EQ(joined.calls[i]["arguments"], calls[i]["function"]["arguments"]);
  }
}

TEST_F(ChatAnswers, ContentIsEmptyWhenThereAreOnlyCalls) {
  server_.service->will_say("<tool_call>\n<function=add>\n</function>\n</tool_call><|im_end|>");
  const Json message = server_.ask(kPath, with_tool(plain())).json["choices"][0]["message"];
  EXPECT_EQ(message["content"], "");
  EXPECT_EQ(message["tool_calls"].size(), 1U);
}

TEST_F(ChatAnswers, AMalformedCallBecomesContentAndIsCounted) {
  server_.service->will_say("<tool_call>\n<function=add>\nnonsense</tool_call><|im_end|>");
  const auto [status, json] = server_.ask(kPath, with_tool(plain()));
  EXPECT_EQ(status, 200);
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_NE(json["choices"][0]["message"]["content"].get<std::string>().find("nonsense"),
            std::string::npos);
  EXPECT_EQ(server_.context->counters.tool_parse_soft_fails.load(), 1U);
  ASSERT_FALSE(server_.log().empty());
  EXPECT_NE(server_.log().back().find("nonsense"), std::string::npos);
}

TEST_F(ChatAnswers, WithToolChoiceNoneACallIsText) {
  const std::string call = "<tool_call>\n<function=add>\n</function>\n</tool_call>";
  server_.service->will_say(call + "<|im_end|>");
  Json body = with_tool(plain());
  body["tool_choice"] = "none";
  const Json choice = server_.ask(kPath, body).json["choices"][0];
  EXPECT_EQ(choice["message"]["content"], call);
  EXPECT_EQ(choice["finish_reason"], "stop");
}

TEST_F(ChatAnswers, ReasoningFormats) {
  server_.service->will_say(kThinks);
  Json body = user_says("hello");
  body["reasoning_format"] = "none";
  EXPECT_EQ(server_.ask(kPath, body).json["choices"][0]["message"],
            (Json{{"role", "assistant"}, {"content", "<think>\nso\n</think>\n\nHi!"}}));
  body["reasoning_format"] = "deepseek-legacy";
  EXPECT_EQ(server_.ask(kPath, body).json["choices"][0]["message"]["reasoning_content"], "so");
  const Joined legacy = join(server_.stream(kPath, body));
  EXPECT_EQ(legacy.content, "<think>\nso\n</think>\n\nHi!");
  EXPECT_EQ(legacy.reasoning, "");
}

TEST_F(ChatAnswers, LengthAndAFullContextAreLength) {
  server_.service->will_say("abcdef<|im_end|>");
  Json body = plain();
  body["max_tokens"] = 3;
  const Json choice = server_.ask(kPath, body).json["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(choice["message"]["content"], "abc");
  Script full = server_.service->script("ab");
  full.context_full = true;
  server_.service->will_say(full);
  server_.ask(kPath, plain());
  EXPECT_EQ(server_.ask(kPath, plain()).json["choices"][0]["finish_reason"], "length");
}

TEST_F(ChatAnswers, StopStringsEndTheReplyAndAreNotPartOfIt) {
  server_.service->will_say("one STOP two<|im_end|>");
  Json body = plain();
  body["stop"] = "STOP";
  const Json choice = server_.ask(kPath, body).json["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "one ");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(join(server_.stream(kPath, body)).content, "one ");
}

TEST_F(ChatAnswers, LogprobsRideOnTheirTokensRecord) {
  server_.service->will_say("Hi\u00e9 S<|im_end|>");
  Json body = plain();
  body["logprobs"] = true;
  body["top_logprobs"] = 2;
  const Json whole = server_.ask(kPath, body).json["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(whole.size(), 6U);  // H, i, two halves of é, blank, S
  EXPECT_EQ(keys_of(whole[0]),
            (std::vector<std::string>{"id", "token", "bytes", "logprob", "top_logprobs"}));
  EXPECT_EQ(whole[0]["token"], "H");
  EXPECT_EQ(whole[0]["bytes"], Json::array({72}));
  EXPECT_EQ(whole[0]["logprob"], -0.25);
  ASSERT_EQ(whole[0]["top_logprobs"].size(), 2U);
  EXPECT_EQ(whole[0]["top_logprobs"][1]["logprob"].get<float>(),
            std::numeric_limits<float>::lowest());
  EXPECT_EQ(whole[2]["token"], "");  // half a character
  EXPECT_EQ(whole[2]["bytes"], Json::array({0xC3}));

  Json streamed = Json::array();
  for (const Json& record : server_.stream(kPath, body)) {
    if (!record.is_object() || !record["choices"][0].contains("logprobs")) continue;
    std::string bytes;
    for (const Json& item : record["choices"][0]["logprobs"]["content"]) {
      streamed.push_back(item);
      for (const Json& byte : item["bytes"]) bytes += static_cast<char>(byte.get<int>());
    }
    EXPECT_EQ(record["choices"][0]["delta"]["content"], bytes);
  }
  EXPECT_EQ(streamed, whole);

  body["stop"] = " S";
  EXPECT_EQ(server_.ask(kPath, body).json["choices"][0]["logprobs"]["content"].size(), 4U);
}

TEST_F(ChatAnswers, PostSamplingProbabilitiesHaveOtherNames) {
  server_.service->will_say("H<|im_end|>");
  Json body = plain();
  body["n_probs"] = 2;
  body["post_sampling_probs"] = true;
  const Json item = server_.ask(kPath, body).json["choices"][0]["logprobs"]["content"][0];
  EXPECT_EQ(keys_of(item), (std::vector<std::string>{"id", "token", "bytes", "prob", "top_probs"}));
  EXPECT_NEAR(item["prob"].get<double>(), 0.7788, 1e-4);
  EXPECT_EQ(item["top_probs"].size(), 1U) << "the second one is impossible";
}

TEST_F(ChatAnswers, SeveralChoicesShareOneAnswer) {
  server_.service->will_say("first<|im_end|>");
  server_.service->will_say("second<|im_end|>");
  Json body = plain();
  body["n"] = 2;
  body["seed"] = 7;
  body["id_slot"] = 0;
  const Json json = server_.ask(kPath, body).json;
  ASSERT_EQ(json["choices"].size(), 2U);
  EXPECT_EQ(json["choices"][0]["message"]["content"], "first");
  EXPECT_EQ(json["choices"][1]["message"]["content"], "second");
  EXPECT_EQ(json["choices"][1]["index"], 1);
  EXPECT_EQ(json["usage"]["completion_tokens"], 6 + 7);
  const auto seen = server_.service->seen();
  EXPECT_EQ(seen[0].sampling.seed, 7U);
  EXPECT_EQ(seen[1].sampling.seed, 8U);
  EXPECT_FALSE(seen[0].after.has_value());
  EXPECT_EQ(seen[1].after, scheduler::RequestId{1});
  EXPECT_EQ(seen[0].id_slot, 0);
  EXPECT_EQ(seen[1].id_slot, -1);
  EXPECT_EQ(seen[0].client, "10.0.0.7");
}

TEST_F(ChatAnswers, StreamedChoicesHaveTheirOwnRolesAndReasons) {
  server_.service->will_say("ab<|im_end|>");
  server_.service->will_say("cd<|im_end|>");
  Json body = plain();
  body["n"] = 2;
  body["stream_options"] = Json{{"include_usage", true}};
  const std::vector<Json> records = server_.stream(kPath, body);
  EXPECT_EQ(join(records, 0).content, "ab");
  EXPECT_EQ(join(records, 1).content, "cd");
  EXPECT_EQ(join(records, 0).n_finish, 1);
  EXPECT_EQ(join(records, 1).n_finish, 1);
  EXPECT_EQ(records.back(), "[DONE]");
  EXPECT_EQ(records[records.size() - 2]["usage"]["completion_tokens"], 6);
}

TEST_F(ChatAnswers, ProgressRisesToTheWholePrompt) {
  server_.service->will_say("x<|im_end|>");
  Json body = user_says(std::string(100, 'a'));
  body["return_progress"] = true;
  for (int round = 0; round < 2; ++round) {
    int last = -1;
    Json progress;
    for (const Json& record : server_.stream(kPath, body)) {
      if (!record.is_object() || !record.contains("prompt_progress")) continue;
      progress = record["prompt_progress"];
      EXPECT_EQ(keys_of(progress),
                (std::vector<std::string>{"total", "cache", "processed", "time_ms"}));
      EXPECT_EQ(record["choices"][0]["delta"], (Json{{"role", "assistant"}, {"content", nullptr}}));
      if (last < 0) {
        EXPECT_EQ(progress["processed"], progress["cache"]);
      }
      EXPECT_GT(progress["processed"].get<int>(), last);
      last = progress["processed"];
    }
    EXPECT_EQ(progress["processed"], progress["total"]);
    EXPECT_EQ(progress["cache"].get<int>() > 0, round == 1);
  }
}

TEST_F(ChatAnswers, ErrorsBeforeThePromptAreOrdinaryAnswersEvenForStreams) {
  Json body = user_says("hello");
  body["stream"] = true;
  body["n"] = 9;
  const auto malformed = TestServer::finish(server_.post(kPath, body));
  EXPECT_EQ(malformed.status, 400);
  EXPECT_EQ(malformed.json["error"]["type"], "invalid_request_error");

  body["n"] = 1;
  server_.service->queue_bound = 0;
  const auto refused = TestServer::finish(server_.post(kPath, body));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.json["error"]["type"], "unavailable_error");
  EXPECT_EQ(refused.json["error"]["code"], 503);
}

TEST_F(ChatAnswers, ARefusedSecondChoiceCancelsTheFirst) {
  server_.service->will_say("abc<|im_end|>");
  server_.service->queue_bound = 1;
  server_.service->hold(true);
  Json body = plain();
  body["n"] = 2;
  const auto exchange = server_.post(kPath, body);
  exchange->wait();
  EXPECT_EQ(exchange->response().status, 503);
  EXPECT_EQ(server_.service->cancelled(), std::vector<scheduler::RequestId>{1});
  server_.service->hold(false);
}

TEST_F(ChatAnswers, AnErrorInsideAStreamIsItsLastRecord) {
  Script broken = server_.service->script("ab");
  broken.error = "the device is gone";
  server_.service->will_say(broken);
  Json body = plain();
  const std::vector<Json> records = server_.stream(kPath, body);
  EXPECT_EQ(records.back(), Json::parse(R"({"error": {"code": 500, "message": "the device is gone",
                                      "type": "server_error"}})"));
  const auto whole = server_.ask(kPath, body);
  EXPECT_EQ(whole.status, 500);
  EXPECT_EQ(whole.json["error"]["message"], "the device is gone");
}

TEST_F(ChatAnswers, AReplyThatItsOwnRequestBrokeIs400) {
  Script broken = server_.service->script("ab");
  broken.error = "the grammar is too ambiguous";
  broken.bad_request = true;
  server_.service->will_say(broken);
  for (const char* path : {kPath, "/completion"}) {
    Json body = plain();
    body["prompt"] = "x";
    const auto whole = server_.ask(path, body);
    EXPECT_EQ(whole.status, 400) << path;
    EXPECT_EQ(whole.json["error"]["type"], "invalid_request_error") << path;
  }
}

TEST_F(ChatAnswers, AClientThatGoesAwayCancelsItsReplies) {
  server_.service->will_say("abc<|im_end|>");
  server_.service->hold(true);
  Json body = plain();
  body["stream"] = true;
  body["n"] = 2;
  const auto exchange = server_.post(kPath, body);
  exchange->close();
  EXPECT_EQ(server_.service->cancelled(), (std::vector<scheduler::RequestId>{1, 2}));
  server_.service->hold(false);
}

TEST_F(ChatAnswers, AClientThatWasGoneBeforeTheReplyBeganCancelsIt) {
  server_.service->hold(true);
  const auto exchange = std::make_shared<FakeExchange>([] {
    http::Request request;
    request.method = "POST";
    request.path = kPath;
    request.body = user_says("x").dump();
    return request;
  }());
  exchange->close();
  std::vector<std::string> other;
  (*server_.router.find("POST", kPath, other)->handler)(exchange);
  EXPECT_EQ(server_.service->cancelled(), std::vector<scheduler::RequestId>{1});
  server_.service->hold(false);
}

TEST_F(ChatAnswers, RecordsMergeOnlyForSlowReadersAndWhenAskedTo) {
  Script drafted = server_.service->script("abcdef<|im_end|>");
  drafted.from_draft = {false, true, true, false, true, false};
  server_.service->will_say(drafted);
  const auto contents = [](const std::vector<Json>& records) {
    std::vector<std::string> out;
    for (const Json& record : records) {
      if (!record.is_object() || !record["choices"][0]["delta"].contains("content")) continue;
      const Json& content = record["choices"][0]["delta"]["content"];
      if (content.is_string()) out.push_back(content);
    }
    return out;
  };
  EXPECT_EQ(contents(server_.stream(kPath, plain())).size(), 6U);
  Json body = plain();
  body["stream_coalesce"] = true;
  EXPECT_EQ(contents(server_.stream(kPath, body)), (std::vector<std::string>{"a", "bcd", "ef"}));

  server_.service->hold(true);
  body = plain();
  body["stream"] = true;
  const auto exchange = server_.post(kPath, body);
  exchange->fake_backlog = 1 << 20;
  server_.service->hold(false);
  exchange->wait();
  EXPECT_EQ(contents(TestServer::records(*exchange)), std::vector<std::string>{"abcdef"});
}

TEST_F(ChatAnswers, StreamHeadersKeepProxiesQuiet) {
  server_.service->will_say("a<|im_end|>");
  Json body = plain();
  body["stream"] = true;
  body["sse_ping_interval"] = 5;
  const auto exchange = server_.post(kPath, body);
  exchange->wait();
  EXPECT_EQ(exchange->options().status, 200);
  EXPECT_EQ(exchange->options().content_type, "text/event-stream");
  EXPECT_EQ(exchange->options().ping_seconds, 5.0);
  EXPECT_EQ(exchange->options().headers,
            (http::Headers{{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}));
}

TEST_F(ChatAnswers, VerboseShowsPromptAndSettings) {
  server_.service->will_say("Hi<|im_end|>");
  Json body = plain();
  EXPECT_FALSE(server_.ask(kPath, body).json.contains("__verbose"));
  body["verbose"] = true;
  const Json verbose = server_.ask(kPath, body).json["__verbose"];
  EXPECT_NE(verbose["prompt"].get<std::string>().find("hello"), std::string::npos);
  EXPECT_EQ(verbose["content"], "Hi");
  EXPECT_EQ(verbose["stop_type"], "eos");
  EXPECT_EQ(verbose["generation_settings"]["reasoning_format"], "deepseek");
}

TEST_F(ChatAnswers, ThinkingEndsFromOutsideOnlyWhenAskedForInAdvance) {
  server_.service->will_say("abc\n</think>\n\nx<|im_end|>");
  server_.service->hold(true);
  Json body = user_says("hello");
  body["stream"] = true;
  body["reasoning_control"] = true;
  body["return_progress"] = true;
  const auto exchange = server_.post(kPath, body);
  exchange->wait_for_pieces(1);
  Json control = {{"id", TestServer::records(*exchange)[0]["id"]}, {"action", "reasoning_end"}};
  EXPECT_EQ(server_.ask("/v1/chat/completions/control", control).json, (Json{{"success", true}}));
  server_.service->hold(false);
  exchange->wait();
  EXPECT_EQ(server_.ask("/v1/chat/completions/control", control).json["success"], false);
  control["action"] = "dance";
  EXPECT_EQ(server_.ask("/v1/chat/completions/control", control).status, 400);
  EXPECT_EQ(server_.ask("/v1/chat/completions/control", Json::object()).status, 400);
}

TEST_F(ChatAnswers, CountsTokensWithoutASlot) {
  const auto [status, json] = server_.ask("/v1/chat/completions/input_tokens", user_says("hi"));
  EXPECT_EQ(status, 200);
  EXPECT_EQ(json["object"], "response.input_tokens");
  EXPECT_GT(json["input_tokens"].get<int>(), 5);
  EXPECT_TRUE(server_.service->seen().empty());
}

}  // namespace
}  // namespace foretoken::api
