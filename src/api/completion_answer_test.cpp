#include "api/completion_answer.h"

#include <gtest/gtest.h>

#include "api/test_server.h"

namespace foretoken::api {
namespace {

constexpr const char* kNative = "/completion";
constexpr const char* kOpenAi = "/v1/completions";

class Completions : public testing::Test {
 protected:
  static Json prompt(const Json& prompt) {
    Json body = Json::object();
    body["prompt"] = prompt;
    return body;
  }
  TestServer server_;
};

TEST_F(Completions, NativeAnswerHasExactlyTheKnownKeys) {
  server_.service->will_say("a\nb<|im_end|>");
  const auto [status, json] = server_.ask(kNative, prompt("Once"));
  EXPECT_EQ(status, 200);
  EXPECT_EQ(keys_of(json),
            (std::vector<std::string>{"index", "content", "tokens", "id_slot", "stop", "model",
                                      "tokens_predicted", "tokens_evaluated", "generation_settings",
                                      "prompt", "has_new_line", "truncated", "stop_type",
                                      "stopping_word", "tokens_cached", "timings"}));
  EXPECT_EQ(json["content"], "a\nb");
  EXPECT_EQ(json["tokens"], Json::array());
  EXPECT_EQ(json["stop"], true);
  EXPECT_EQ(json["stop_type"], "eos");
  EXPECT_EQ(json["prompt"], "Once");
  EXPECT_EQ(json["tokens_evaluated"], 4);
  EXPECT_EQ(json["tokens_predicted"], 4);
  EXPECT_EQ(json["tokens_cached"], 8);
  EXPECT_EQ(json["has_new_line"], true);
  EXPECT_EQ(json["truncated"], false);
}

TEST_F(Completions, NativeStreamHasPartsThenTheWholeObjectAndNoDone) {
  server_.service->will_say("abc<|im_end|>");
  const std::vector<Json> records = server_.stream(kNative, prompt("Once"));
  ASSERT_EQ(records.size(), 4U);
  EXPECT_EQ(records[1], Json::parse(R"({"index": 0, "content": "b", "tokens": [98], "stop": false,
                            "id_slot": 0, "tokens_predicted": 2, "tokens_evaluated": 4})"));
  EXPECT_EQ(records[3]["content"], "");
  EXPECT_EQ(records[3]["stop"], true);
  EXPECT_EQ(records[3]["tokens_predicted"], 4);
  EXPECT_TRUE(records[3].contains("timings"));
}

TEST_F(Completions, StopTypesSayWhyItEnded) {
  server_.service->will_say("abc def<|im_end|>");
  Json body = prompt("x");
  body["stop"] = Json::array({"c d"});
  Json json = server_.ask(kNative, body).json;
  EXPECT_EQ(json["stop_type"], "word");
  EXPECT_EQ(json["stopping_word"], "c d");
  EXPECT_EQ(json["content"], "ab");
  body = prompt("x");
  body["n_predict"] = 2;
  json = server_.ask(kNative, body).json;
  EXPECT_EQ(json["stop_type"], "limit");
  EXPECT_EQ(json["content"], "ab");
  EXPECT_EQ(json["tokens_predicted"], 2);
}

TEST_F(Completions, NothingIsGeneratedForNPredictZero) {
  server_.service->will_say("abc<|im_end|>");
  Json body = prompt("x");
  body["n_predict"] = 0;
  const Json json = server_.ask(kNative, body).json;
  EXPECT_EQ(json["content"], "");
  EXPECT_EQ(json["tokens_predicted"], 0);
  EXPECT_EQ(json["stop_type"], "limit");
  const std::vector<Json> records = server_.stream(kNative, body);
  EXPECT_EQ(records.size(), 1U);
}

TEST_F(Completions, AFullContextIsTruncated) {
  Script full = server_.service->script("ab");
  full.context_full = true;
  server_.service->will_say(full);
  const Json json = server_.ask(kNative, prompt("x")).json;
  EXPECT_EQ(json["truncated"], true);
  EXPECT_EQ(json["stop_type"], "limit");
}

TEST_F(Completions, TokensAndFieldsOnRequest) {
  server_.service->will_say("ab<|im_end|>");
  Json body = prompt("x");
  body["return_tokens"] = true;
  EXPECT_EQ(server_.ask(kNative, body).json["tokens"], Json::array({97, 98}));
  body["response_fields"] =
      Json::array({"content", "generation_settings/n_predict", "timings/predicted_n", "nothing"});
  EXPECT_EQ(
      server_.ask(kNative, body).json,
      (Json{{"content", "ab"}, {"generation_settings/n_predict", -1}, {"timings/predicted_n", 3}}));
  EXPECT_EQ(server_.stream(kNative, body).back()["timings/predicted_n"], 3);
}

TEST_F(Completions, PromptsInAllShapes) {
  server_.service->will_say("ok<|im_end|>");
  EXPECT_EQ(server_.ask(kNative, prompt(Json::array({72, 105}))).json["prompt"], "Hi");
  EXPECT_EQ(server_.ask(kNative, prompt(Json::array({72, "i <|im_start|>", 33}))).json["prompt"],
            "Hi <|im_start|>!");
  EXPECT_EQ(server_.ask(kNative, prompt({{"prompt_string", "Hi"}})).json["prompt"], "Hi");
  const Json several =
      server_
          .ask(kNative, prompt(Json::array({"a", Json::array({98, 99}), {{"prompt_string", "d"}}})))
          .json;
  ASSERT_EQ(several.size(), 3U);
  EXPECT_EQ(several[1]["prompt"], "bc");
  EXPECT_EQ(several[2]["index"], 2);
}

TEST_F(Completions, MorePromptsThanAnyQueueTakesAreRefused) {
  const auto [status, json] = server_.ask(kNative, prompt(std::vector<std::string>(4097, "a")));
  EXPECT_EQ(status, 400);
  EXPECT_EQ(json["error"]["message"], "Field 'prompt': at most 4096 prompts are allowed");
}

TEST_F(Completions, MalformedPromptsAreRefused) {
  const std::vector<Json> bad = {Json::array(),
                                 Json::array({1, -5}),
                                 Json::array({100000}),
                                 Json::array({1.5}),
                                 Json::array({Json::array({Json::array({1})})}),
                                 3,
                                 "",
                                 {{"prompt_string", 3}},
                                 {{"multimodal_data", Json::array({"x"})}},
                                 {{"prompt_string", "x"}, {"multimodal_data", "iVBOR"}}};
  for (const Json& one : bad) {
    for (const char* path : {kNative, kOpenAi}) {
      const auto [status, json] = server_.ask(path, prompt(one));
      EXPECT_EQ(status, 400) << one;
      EXPECT_EQ(json["error"]["type"], "invalid_request_error");
    }
  }
  EXPECT_EQ(server_.ask(kNative, Json::object()).json["error"]["message"],
            "\"prompt\" is required");
}

TEST_F(Completions, ProbabilitiesFollowTheirTokens) {
  server_.service->will_say("a\u00e9b<|im_end|>");
  Json body = prompt("x");
  body["n_probs"] = 3;
  const Json whole = server_.ask(kNative, body).json["completion_probabilities"];
  ASSERT_EQ(whole.size(), 4U);
  EXPECT_EQ(whole[0]["top_logprobs"].size(), 3U);
  Json streamed = Json::array();
  for (const Json& record : server_.stream(kNative, body)) {
    if (record["stop"] == true) {
      EXPECT_FALSE(record.contains("completion_probabilities"));
      continue;
    }
    EXPECT_EQ(record["completion_probabilities"].size(), record["tokens"].size());
    for (const Json& item : record["completion_probabilities"]) streamed.push_back(item);
  }
  EXPECT_EQ(streamed, whole);
}

TEST_F(Completions, ProgressAndTimingsInTheNativeStream) {
  server_.service->will_say("ab<|im_end|>");
  Json body = prompt(std::string(40, 'x'));
  body["return_progress"] = true;
  body["timings_per_token"] = true;
  const std::vector<Json> records = server_.stream(kNative, body);
  EXPECT_EQ(records[0]["prompt_progress"]["processed"], 0);
  EXPECT_EQ(records[0]["timings"]["prompt_n"], 0);
  EXPECT_EQ(records[0]["timings"]["prompt_ms"], 0.0);
  for (const Json& record : records) EXPECT_TRUE(record.contains("timings"));
}

TEST_F(Completions, OpenAiAnswerAndStream) {
  server_.service->will_say("abc<|im_end|>");
  const Json json = server_.ask(kOpenAi, prompt("Once")).json;
  EXPECT_EQ(keys_of(json),
            (std::vector<std::string>{"choices", "created", "model", "system_fingerprint", "object",
                                      "id", "usage", "timings"}));
  EXPECT_EQ(
      json["choices"],
      Json::parse(R"([{"text": "abc", "index": 0, "logprobs": null, "finish_reason": "stop"}])"));
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 4);

  const std::vector<Json> records = server_.stream(kOpenAi, prompt("Once"));
  ASSERT_EQ(records.size(), 5U);
  EXPECT_EQ(records[0]["choices"][0]["text"], "a");
  EXPECT_TRUE(records[0]["choices"][0]["finish_reason"].is_null());
  EXPECT_FALSE(records[0].contains("usage"));
  EXPECT_EQ(records[3]["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(records[3]["choices"][0]["text"], "");
  EXPECT_TRUE(records[3].contains("usage"));
  EXPECT_TRUE(records[3].contains("timings"));
  EXPECT_EQ(records[4], "[DONE]");
}

TEST_F(Completions, OpenAiLogprobsHaveTheOlderArraysBeside) {
  server_.service->will_say("a\u00e9b<|im_end|>");
  Json body = prompt("x");
  body["logprobs"] = 2;
  const Json logprobs = server_.ask(kOpenAi, body).json["choices"][0]["logprobs"];
  EXPECT_EQ(keys_of(logprobs), (std::vector<std::string>{"content", "tokens", "token_logprobs",
                                                         "top_logprobs", "text_offset"}));
  EXPECT_EQ(logprobs["content"].size(), 4U);
  EXPECT_EQ(logprobs["tokens"], Json::array({"a", "", "", "b"}));
  EXPECT_EQ(logprobs["token_logprobs"][0], -0.25);
  EXPECT_EQ(logprobs["top_logprobs"][0]["a"], -0.25);
}

TEST_F(Completions, OpenAiRefusesWhatItDoesNotDo) {
  for (const auto& [key, value] :
       std::map<std::string, Json>{{"echo", true}, {"best_of", 2}, {"suffix", "x"}}) {
    Json body = prompt("x");
    body[key] = value;
    EXPECT_EQ(server_.ask(kOpenAi, body).status, 400) << key;
    body[key] = nullptr;
    server_.service->will_say("a<|im_end|>");
    EXPECT_EQ(server_.ask(kOpenAi, body).status, 200) << key;
  }
}

TEST_F(Completions, PromptsTimesChoices) {
  server_.service->will_say("r<|im_end|>");
  Json body = prompt(Json::array({"a", "b"}));
  body["n"] = 2;
  const Json json = server_.ask(kOpenAi, body).json;
  ASSERT_EQ(json["choices"].size(), 4U);
  EXPECT_EQ(json["choices"][3]["index"], 3);
  EXPECT_EQ(json["usage"]["prompt_tokens"], 2);
  EXPECT_EQ(json["usage"]["completion_tokens"], 8);
  const auto seen = server_.service->seen();
  EXPECT_EQ(seen[1].after, scheduler::RequestId{1});
  EXPECT_FALSE(seen[2].after);
  EXPECT_EQ(seen[3].after, scheduler::RequestId{3});
}

TEST_F(Completions, LineIndentationEndsIt) {
  server_.service->will_say("    a\n    b\nc<|im_end|>");
  Json body = prompt("x");
  body["n_indent"] = 4;
  const Json json = server_.ask(kNative, body).json;
  EXPECT_EQ(json["content"], "    a\n    b\n");
  EXPECT_EQ(json["stop_type"], "limit");
}

TEST_F(Completions, TimeLimitSlotAndCacheReachTheWorker) {
  server_.service->will_say("a<|im_end|>");
  Json body = prompt("x");
  body["t_max_predict_ms"] = 250;
  body["id_slot"] = 1;
  body["cache_prompt"] = false;
  EXPECT_EQ(server_.ask(kNative, body).json["id_slot"], 1);
  const auto seen = server_.service->seen();
  EXPECT_EQ(seen[0].max_predict_ms, 250.0);
  EXPECT_EQ(seen[0].id_slot, 1);
  EXPECT_FALSE(seen[0].cache_prompt);
}

TEST_F(Completions, AClientThatGoesAwayCancels) {
  server_.service->will_say("abc<|im_end|>");
  server_.service->hold(true);
  const auto exchange = server_.post(kNative, prompt("x"));
  exchange->close();
  EXPECT_EQ(server_.service->cancelled(), std::vector<scheduler::RequestId>{1});
  server_.service->hold(false);
}

TEST_F(Completions, InfillPutsTheMarkersAround) {
  server_.service->will_say("a<|im_end|>");
  const Json body = Json::parse(R"({"input_prefix": "pre", "input_suffix": "suf", "prompt": "mid",
      "input_extra": [{"filename": "f.h", "text": "int x;<|im_end|>\n"}]})");
  EXPECT_EQ(server_.ask("/infill", body).json["prompt"],
            "<|repo_name|>myproject\n<|file_sep|>f.h\nint x;<|im_end|>\n<|file_sep|>filename\n"
            "<|fim_prefix|>premid<|fim_suffix|>suf<|fim_middle|>");
  // The text of a file does not end the prompt: its marker is spelled in bytes.
  const auto seen = server_.service->seen();
  EXPECT_EQ(std::ranges::count(seen[0].prompt, *server_.tokenizer->find_special("<|im_end|>")), 0);
}

TEST_F(Completions, InfillFitsIntoTheContext) {
  server_.service->will_say("a<|im_end|>");
  server_.service->n_ctx = 100;
  Json body = {{"input_prefix", std::string(500, 'p')}, {"input_suffix", std::string(500, 's')}};
  EXPECT_EQ(server_.ask("/infill", body).status, 200);
  const auto seen = server_.service->seen();
  EXPECT_LE(seen[0].prompt.size(), 75U);
  EXPECT_GT(std::ranges::count(seen[0].prompt, 'p'), 3 * 15);
  EXPECT_GT(std::ranges::count(seen[0].prompt, 's'), 15);
}

TEST_F(Completions, InfillRefusesMalformedFields) {
  for (const char* extra : {"{}", R"({"filename": "ok"})", R"({"filename": 1, "text": "a"})",
                            R"({"filename": "a", "text": 4})", "3"}) {
    Json body = {{"input_prefix", "a"}, {"input_suffix", "b"}};
    body["input_extra"] = Json::array({Json::parse(extra)});
    EXPECT_EQ(server_.ask("/infill", body).status, 400) << extra;
  }
  EXPECT_EQ(server_.ask("/infill", {{"input_prefix", "a"}}).status, 400);
}

}  // namespace
}  // namespace foretoken::api
