// What clients of llama.cpp's server rely on, point by point, as its own test suite asserts it.
// Points 3 and 4 (the other dialects) stand in messages_events_test.cpp and
// responses_events_test.cpp, keys and CORS in src/http.
// Source: llama.cpp, tools/server/tests/unit (September 2026).
#include <gtest/gtest.h>

#include <set>

#include "api/errors.h"
#include "api/test_server.h"

namespace foretoken::api {
namespace {

class Conformance : public testing::Test {
 protected:
  /// Contents of a native stream, joined.
  static std::string joined(const std::vector<Json>& records) {
    std::string text;
    for (const Json& record : records) text += record["content"].get<std::string>();
    return text;
  }
  TestServer server_;
};

TEST_F(Conformance, Point1StatusEndpointsHaveTheirShapes) {
  EXPECT_EQ(server_.get("/health").json["status"], "ok");
  EXPECT_EQ(server_.get("/props").json["total_slots"], 2);
  EXPECT_GT(server_.get("/props").json["chat_template"].get<std::string>().size(), 10U);
  const Json models = server_.get("/v1/models").json;
  EXPECT_EQ(models["data"].size(), 1U);
  EXPECT_EQ(models["data"][0]["object"], "model");
  EXPECT_EQ(server_.get("/slots").json.size(), 2U);
  server_.loading = true;
  EXPECT_EQ(server_.get("/health").status, 503);
  EXPECT_EQ(server_.get("/health").json["error"]["type"], "unavailable_error");
}

TEST_F(Conformance, Point1ErrorsOfTheTransportHaveTheSameShape) {
  const Json plain = error_json(404, "not_found_error", "File Not Found");
  EXPECT_EQ(plain["error"],
            (Json{{"code", 404}, {"message", "File Not Found"}, {"type", "not_found_error"}}));
  const Json anthropic = error_json(404, "not_found_error", "File Not Found", true);
  EXPECT_EQ(keys_of(anthropic), (std::vector<std::string>{"type", "error"}));
  EXPECT_EQ(anthropic["type"], "error");
  EXPECT_TRUE(is_anthropic_path("/v1/messages") && is_anthropic_path("/v1/messages/count_tokens"));
  EXPECT_FALSE(is_anthropic_path("/v1/messagesx"));
}

TEST_F(Conformance, Point2ChatFirstRecordIsTheRoleAndIdsStayTheSame) {
  server_.service->will_say("Suddenly<|im_end|>");
  Json body = user_says("What is the best book");
  body["chat_template_kwargs"] = Json{{"enable_thinking", false}};
  const std::vector<Json> records = server_.stream("/chat/completions", body);
  std::set<std::string> ids;
  std::string content;
  for (std::size_t i = 0; i + 1 < records.size(); ++i) {
    const Json& choice = records[i]["choices"][0];
    ids.insert(records[i]["id"].get<std::string>());
    EXPECT_TRUE(records[i]["system_fingerprint"].get<std::string>().starts_with("b"));
    EXPECT_EQ(choice["delta"].contains("role"), i == 0);
    if (choice["finish_reason"].is_null() && i > 0) content += choice["delta"]["content"];
  }
  EXPECT_EQ(ids.size(), 1U);
  EXPECT_EQ(content, "Suddenly");
}

TEST_F(Conformance, Point2LogprobsOfAStreamJoinToItsText) {
  server_.service->will_say("The book<|im_end|>");
  Json body = user_says("x");
  body["chat_template_kwargs"] = Json{{"enable_thinking", false}};
  body["logprobs"] = true;
  body["top_logprobs"] = 10;
  std::string text;
  std::string tokens;
  for (const Json& record : server_.stream("/v1/chat/completions", body)) {
    if (!record.is_object() || !record["choices"][0]["finish_reason"].is_null()) continue;
    const Json& choice = record["choices"][0];
    if (!choice["delta"].contains("content") || choice["delta"]["content"].is_null()) continue;
    text += choice["delta"]["content"].get<std::string>();
    for (const Json& item : choice["logprobs"]["content"]) {
      tokens += item["token"].get<std::string>();
      EXPECT_LE(item["logprob"].get<double>(), 0.0);
      EXPECT_EQ(item["top_logprobs"].size(), 10U);
    }
  }
  EXPECT_EQ(text, "The book");
  EXPECT_EQ(tokens, text);
}

TEST_F(Conformance, Point2SeedsReachTheSampler) {
  server_.service->will_say("a<|im_end|>");
  Json body = {{"prompt", "x"}, {"seed", 42}};
  EXPECT_EQ(server_.ask("/completion", body).json["generation_settings"]["seed"], 42);
  EXPECT_EQ(server_.ask("/completion", {{"prompt", "x"}}).json["generation_settings"]["seed"],
            4294967295U);
}

TEST_F(Conformance, Point5CachedTokensRiseAndCacheCanBeSwitchedOff) {
  server_.service->will_say("a<|im_end|>");
  Json body = user_says("1 2 3 4 5 6");
  const auto cached = [&] {
    return server_.ask("/v1/chat/completions", body)
        .json["usage"]["prompt_tokens_details"]["cached_tokens"]
        .get<int>();
  };
  EXPECT_EQ(cached(), 0);
  const int again = cached();
  EXPECT_GT(again, 0);
  body = user_says("1 2 3 9 9 9");
  EXPECT_LT(cached(), again);
  body["cache_prompt"] = false;
  EXPECT_EQ(cached(), 0);
  body["id_slot"] = 1;
  cached();
  EXPECT_EQ(server_.service->seen().back().id_slot, 1);
}

TEST_F(Conformance, Point6AnOverLongPromptIsAnErrorOfItsOwn) {
  server_.service->n_ctx = 64;
  for (const bool stream : {false, true}) {
    Json body = user_says(std::string(100, 'b'));
    body["stream"] = stream;
    const auto [status, json] = TestServer::finish(server_.post("/v1/chat/completions", body));
    EXPECT_EQ(status, 400);
    EXPECT_EQ(json["error"]["type"], "exceed_context_size_error");
    EXPECT_GT(json["error"]["n_prompt_tokens"].get<int>(), 64);
    EXPECT_EQ(json["error"]["n_ctx"], 64);
  }
  EXPECT_TRUE(server_.service->seen().empty());
}

TEST_F(Conformance, Point7ResponseFieldsAreUnnested) {
  server_.service->will_say("a<|im_end|>");
  Json body = {{"prompt", "I believe"}, {"n_predict", 32}};
  body["response_fields"] = Json::array({"content", "generation_settings/n_predict", "prompt"});
  const Json json = server_.ask("/completion", body).json;
  EXPECT_EQ(json.size(), 3U);
  EXPECT_EQ(json["generation_settings/n_predict"], 32);
  EXPECT_EQ(json["prompt"], "I believe");
}

TEST_F(Conformance, Point7StreamAndWholeAnswerSayTheSame) {
  server_.service->will_say("Once upon\u00e9 a time.\nThe END of it<|im_end|>");
  Json body = {{"prompt", "x"}};
  body["stop"] = Json::array({"END of", "never"});
  const Json whole = server_.ask("/completion", body).json;
  const std::vector<Json> records = server_.stream("/completion", body);
  EXPECT_EQ(joined(records), whole["content"]);
  EXPECT_EQ(whole["content"], "Once upon\u00e9 a time.\nThe ");
  for (const char* key : {"stop_type", "stopping_word", "tokens_predicted", "has_new_line"}) {
    EXPECT_EQ(records.back()[key], whole[key]) << key;
  }
  for (const Json& record : records) {
    if (record["stop"] == false) {
      EXPECT_FALSE(record["tokens"].empty());
    }
  }
}

TEST_F(Conformance, Point8StopStringsAndCharactersMayLieAcrossTokens) {
  server_.service->will_say("a\U0001F600bXYZ<|im_end|>");
  Json body = {{"prompt", "x"}, {"stop", "XYZ"}};
  std::vector<std::string> parts;
  for (const Json& record : server_.stream("/completion", body)) parts.push_back(record["content"]);
  EXPECT_EQ(parts, (std::vector<std::string>{"a", "\U0001F600", "b", ""}));
}

TEST_F(Conformance, Point8BiasesByIdAndByTextBanTheSameToken) {
  server_.service->will_say("a<|im_end|>");
  for (const char* bias :
       {R"({"98": false})", R"({"b": false})", R"([[98, false]])", R"([["b", false]])"}) {
    Json body = {{"prompt", "x"}, {"logit_bias", Json::parse(bias)}};
    server_.ask("/completion", body);
    const auto seen = server_.service->seen().back().sampling.logit_bias;
    ASSERT_EQ(seen.size(), 1U) << bias;
    EXPECT_EQ(seen[0].token, 'b');
    EXPECT_EQ(seen[0].bias, -std::numeric_limits<float>::infinity());
  }
}

TEST_F(Conformance, Point9EveryMetricHasHelpAndType) {
  server_.context->settings.endpoint_metrics = true;
  const auto exchange = server_.send("GET", "/metrics");
  exchange->wait();
  std::istringstream lines(exchange->response().body);
  std::set<std::string> helped;
  std::set<std::string> typed;
  int n_values = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first;
    std::string second;
    std::string name;
    words >> first >> second >> name;
    if (first == "#") {
      (second == "HELP" ? helped : typed).insert(name);
      continue;
    }
    ++n_values;
    std::string base = first.substr(0, first.find('{'));
    for (const char* suffix : {"_bucket", "_sum", "_count"}) {
      if (base.ends_with(suffix) && typed.contains(base.substr(0, base.rfind('_')))) {
        base = base.substr(0, base.rfind('_'));
      }
    }
    EXPECT_TRUE(helped.contains(base) && typed.contains(base)) << line;
  }
  EXPECT_GT(n_values, 20);
}

TEST_F(Conformance, Point10PathTraversalIsRefused) {
  server_.context->settings.slot_save_path = "/states/";
  for (const char* name : {"../x", "..", "a/../../b", "/etc/passwd", "..\\x", ".", ""}) {
    Json body = {{"filename", name}};
    for (const char* action : {"save", "restore"}) {
      const auto exchange = server_.send("POST", "/slots/0", body.dump(), {{"action", action}});
      EXPECT_EQ(TestServer::finish(exchange).status, 400) << name;
    }
  }
  EXPECT_TRUE(server_.service->actions.empty());
}

}  // namespace
}  // namespace foretoken::api
