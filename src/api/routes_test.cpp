// Status, slots, metrics, tokenizer, refused endpoints: what they answer.
#include "api/routes.h"

#include <gtest/gtest.h>

#include <sstream>

#include "api/slot_file_name.h"
#include "api/test_server.h"
#include "base/error.h"

namespace foretoken::api {
namespace {

class Routes : public testing::Test {
 protected:
  std::string metrics() {
    const auto exchange = server_.send("GET", "/metrics");
    exchange->wait();
    EXPECT_EQ(exchange->response().status, 200);
    return exchange->response().body;
  }
  /// Value of a line "name value", or -1.
  static double value_of(const std::string& text, const std::string& name) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(name + " ")) return std::stod(line.substr(name.size() + 1));
    }
    return -1.0;
  }
  TestServer server_;
};

TEST_F(Routes, HealthIsOkAndOpen) {
  EXPECT_EQ(server_.get("/health").json, (Json{{"status", "ok"}}));
  EXPECT_EQ(server_.get("/v1/health").status, 200);
  std::vector<std::string> other;
  const auto match = server_.router.find("GET", "/health", other);
  EXPECT_TRUE(match->options.open && match->options.immediate);
}

TEST_F(Routes, EverythingAnswers503WhileLoading) {
  server_.loading = true;
  const Json expected = Json::parse(
      R"({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})");
  for (const char* path : {"/health", "/v1/models", "/props", "/slots", "/metrics"}) {
    const auto [status, json] = server_.get(path);
    EXPECT_EQ(status, 503) << path;
    EXPECT_EQ(json, expected) << path;
  }
  EXPECT_EQ(server_.ask("/v1/chat/completions", user_says("x")).status, 503);
  EXPECT_EQ(server_.ask("/completion", {{"prompt", "x"}}).status, 503);
}

TEST_F(Routes, ModelListHasExactlyTheKnownKeys) {
  const Json json = server_.get("/v1/models").json;
  EXPECT_EQ(keys_of(json), (std::vector<std::string>{"models", "object", "data"}));
  const Json& data = json["data"][0];
  EXPECT_EQ(keys_of(data), (std::vector<std::string>{"id", "aliases", "tags", "object", "created",
                                                     "owned_by", "meta"}));
  EXPECT_EQ(data["id"], "tiny");
  EXPECT_EQ(data["owned_by"], "llamacpp");
  EXPECT_EQ(keys_of(data["meta"]),
            (std::vector<std::string>{"vocab_type", "n_vocab", "n_ctx", "n_ctx_slot", "n_ctx_train",
                                      "n_embd", "n_params", "size", "ftype", "mtp"}));
  EXPECT_EQ(data["meta"]["vocab_type"], 2);
  EXPECT_EQ(data["meta"]["n_ctx"], 4096);
  EXPECT_EQ(data["meta"]["mtp"], (Json{{"present", true}, {"layers", 1}, {"source", "embedded"}}));
  EXPECT_EQ(json["models"][0]["name"], "tiny");
  EXPECT_EQ(json["models"][0]["capabilities"], Json::array({"completion"}));
  EXPECT_EQ(server_.get("/models").json, json);
}

TEST_F(Routes, PropsHaveExactlyTheKnownKeys) {
  const Json json = server_.get("/props").json;
  EXPECT_EQ(keys_of(json), (std::vector<std::string>{"default_generation_settings",
                                                     "total_slots",
                                                     "model_alias",
                                                     "model_ftype",
                                                     "model_path",
                                                     "modalities",
                                                     "media_marker",
                                                     "endpoint_slots",
                                                     "endpoint_props",
                                                     "endpoint_metrics",
                                                     "ui",
                                                     "ui_settings",
                                                     "chat_template",
                                                     "chat_template_caps",
                                                     "bos_token",
                                                     "eos_token",
                                                     "build_info",
                                                     "is_sleeping",
                                                     "cors_proxy_enabled",
                                                     "speculative"}));
  EXPECT_EQ(json["default_generation_settings"]["n_ctx"], 4096);
  EXPECT_EQ(json["default_generation_settings"]["params"]["temperature"].get<float>(), 0.8F);
  EXPECT_FALSE(json["default_generation_settings"]["params"].contains("logit_bias"));
  EXPECT_EQ(json["total_slots"], 2);
  EXPECT_EQ(json["chat_template"], chat::ChatTemplate::builtin_source());
  EXPECT_EQ(
      keys_of(json["speculative"]),
      (std::vector<std::string>{"type", "n_max", "n_min", "p_min", "adaptive", "mtp_present"}));
}

TEST_F(Routes, PropsCanOnlyBePostedWhenSwitchedOn) {
  EXPECT_EQ(server_.ask("/props", Json::object()).status, 501);
  server_.context->settings.endpoint_props = true;
  EXPECT_EQ(server_.ask("/props", Json::object()).json, (Json{{"success", true}}));
}

TEST_F(Routes, VersionAndSpeculation) {
  EXPECT_EQ(server_.get("/version").json["version"], "b1-ft0123abc");
  server_.service->state.kind = "draft-mtp";
  server_.service->state.acceptance_at = {0.8, 0.5};
  server_.service->state.parked = true;
  server_.service->state.parked_reason = "it does not pay";
  const Json json = server_.get("/v1/spec").json;
  EXPECT_EQ(json["type"], "draft-mtp");
  EXPECT_EQ(json["acceptance_per_pos"], Json::array({0.8, 0.5}));
  EXPECT_EQ(json["parked_reason"], "it does not pay");
}

TEST_F(Routes, SlotsListTheirState) {
  server_.service->slot_infos[0].request = 7;
  server_.service->slot_infos[0].is_processing = true;
  server_.service->slot_infos[0].description = R"({"seed": 1})";
  server_.service->slot_infos[0].prompt = {72, 105};
  Json json = server_.get("/slots").json;
  ASSERT_EQ(json.size(), 2U);
  EXPECT_EQ(keys_of(json[0]),
            (std::vector<std::string>{"id", "n_ctx", "speculative", "is_processing", "id_task",
                                      "n_prompt_tokens", "n_prompt_tokens_processed",
                                      "n_prompt_tokens_cache", "params", "next_token"}));
  EXPECT_EQ(json[0]["id_task"], 7);
  EXPECT_EQ(keys_of(json[0]["next_token"][0]),
            (std::vector<std::string>{"has_next_token", "has_new_line", "n_remain", "n_decoded"}));
  EXPECT_EQ(keys_of(json[1]),
            (std::vector<std::string>{"id", "n_ctx", "speculative", "is_processing"}));
  server_.context->settings.slots_debug = true;
  EXPECT_EQ(server_.get("/slots").json[0]["prompt"], "Hi");

  // A budget is of a reply under way; monitors add them up.
  server_.service->slot_infos[0].n_remain = 5;
  server_.service->slot_infos[0].n_decoded = 3;
  EXPECT_EQ(server_.get("/slots").json[0]["next_token"][0]["n_remain"], 5);
  server_.service->slot_infos[0].is_processing = false;
  EXPECT_EQ(server_.get("/slots").json[0]["next_token"][0]["n_remain"], -1);
  EXPECT_EQ(server_.get("/slots").json[0]["next_token"][0]["n_decoded"], 0);
  server_.service->slot_infos[0].is_processing = true;

  EXPECT_EQ(server_.get("/slots", {{"fail_on_no_slot", "1"}}).status, 200);
  server_.service->slot_infos[1].is_processing = true;
  const auto busy = server_.get("/slots", {{"fail_on_no_slot", "1"}});
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(busy.json["error"]["message"], "no slot available");
  EXPECT_EQ(server_.get("/slots").status, 200);
  server_.context->settings.endpoint_slots = false;
  EXPECT_EQ(server_.get("/slots").status, 501);
}

TEST_F(Routes, SlotActionsSaveRestoreAndErase) {
  const auto act = [&](const std::string& id, const std::string& action, const std::string& body) {
    return TestServer::finish(server_.send("POST", "/slots/" + id, body, {{"action", action}}));
  };
  const std::string file = R"({"filename": "slot1.bin"})";
  EXPECT_EQ(act("1", "save", file).status, 501);
  server_.context->settings.slot_save_path = "/states";
  server_.service->action_result.n_tokens = 84;
  server_.service->action_result.n_bytes = 1000;
  server_.service->action_result.n_reusable = 80;
  server_.service->action_result.ms = 1.5;
  EXPECT_EQ(act("1", "save", file).json,
            Json::parse(R"({"id_slot": 1, "filename": "slot1.bin", "n_saved": 84,
                            "n_written": 1000, "timings": {"save_ms": 1.5}})"));
  EXPECT_EQ(server_.service->actions.back().path, "/states/slot1.bin");
  EXPECT_EQ(act("0", "restore", file).json,
            Json::parse(R"({"id_slot": 0, "filename": "slot1.bin", "n_restored": 84,
                            "n_read": 1000, "n_reusable": 80, "timings": {"restore_ms": 1.5}})"));
  EXPECT_EQ(act("1", "erase", "").json, (Json{{"id_slot", 1}, {"n_erased", 84}}));
  EXPECT_EQ(act("x", "save", file).status, 400);
  EXPECT_EQ(act("2", "save", file).status, 404);
  EXPECT_EQ(act("1", "paint", file).status, 400);
  EXPECT_EQ(act("1", "save", "{}").status, 400);
  server_.service->action_result.error = "another model";
  server_.service->action_result.bad_request = true;
  EXPECT_EQ(act("1", "restore", file).status, 400);
  server_.service->action_result.bad_request = false;
  EXPECT_EQ(act("1", "save", file).status, 500);
}

TEST_F(Routes, SlotFileNamesStayInTheirFolder) {
  for (const char* name : {"a.bin", "slot 1", "\u00e9.bin", "a-b_c.1"}) {
    EXPECT_EQ(checked_slot_file_name(name), name);
  }
  for (const std::string name : {"", ".", "..", "../a", "a/b", "/etc/passwd", "a\\b", "a..b",
                                 ".hidden", "C:x", "a\nb", "a ", "a.", "a\x01", "\xff"}) {
    EXPECT_THROW(checked_slot_file_name(name), RequestError) << name;
  }
  EXPECT_THROW(checked_slot_file_name(std::string("a\0b", 3)), RequestError);
  EXPECT_THROW(checked_slot_file_name(std::string(256, 'a')), RequestError);
}

TEST_F(Routes, MetricsAreOffUnlessSwitchedOn) {
  const auto [status, json] = server_.get("/metrics");
  EXPECT_EQ(status, 501);
  EXPECT_EQ(json["error"]["type"], "not_supported_error");
}

TEST_F(Routes, MetricsHaveTheirNamesTypesAndHelp) {
  server_.context->settings.endpoint_metrics = true;
  scheduler::Metrics& m = server_.service->fake_metrics;
  m.prompt_tokens = 100;
  m.prompt_seconds = 2.0;
  m.predicted_tokens = 30;
  m.predicted_seconds = 3.0;
  m.recent_ttft_seconds = {0.03, 500.0};
  const std::string text = metrics();
  const std::vector<std::string> counters = {"llamacpp:prompt_tokens_total",
                                             "llamacpp:prompt_tokens_cached_total",
                                             "llamacpp:prompt_seconds_total",
                                             "llamacpp:tokens_predicted_total",
                                             "llamacpp:tokens_predicted_seconds_total",
                                             "llamacpp:n_decode_total",
                                             "llamacpp:n_tokens_max",
                                             "llamacpp:spec_decode_num_draft_tokens_total",
                                             "llamacpp:spec_decode_num_accepted_tokens_total",
                                             "llamacpp:spec_decode_num_drafts_total",
                                             "foretoken:draft_seconds_total",
                                             "foretoken:verify_seconds_total",
                                             "foretoken:prefix_cache_hits_total",
                                             "foretoken:tool_parse_soft_fail_total",
                                             "foretoken:loop_stop_total"};
  const std::vector<std::string> gauges = {
      "llamacpp:prompt_tokens_seconds",   "llamacpp:predicted_tokens_seconds",
      "llamacpp:requests_processing",     "llamacpp:requests_deferred",
      "llamacpp:n_busy_slots_per_decode", "foretoken:spec_parked",
      "foretoken:checkpoint_bytes"};
  for (const std::string& name : counters) {
    EXPECT_NE(text.find("# TYPE " + name + " counter\n"), std::string::npos) << name;
    EXPECT_NE(text.find("# HELP " + name + " "), std::string::npos) << name;
    EXPECT_GE(value_of(text, name), 0.0) << name;
  }
  for (const std::string& name : gauges) {
    EXPECT_NE(text.find("# TYPE " + name + " gauge\n"), std::string::npos) << name;
    EXPECT_GE(value_of(text, name), 0.0) << name;
  }
  EXPECT_EQ(value_of(text, "llamacpp:prompt_tokens_total"), 100.0);
  EXPECT_EQ(value_of(text, "llamacpp:prompt_tokens_seconds"), 50.0);
  EXPECT_EQ(value_of(text, "llamacpp:predicted_tokens_seconds"), 10.0);
  EXPECT_NE(text.find("foretoken:time_to_first_token_seconds_bucket{le=\"0.05\"} 1\n"),
            std::string::npos);
  EXPECT_NE(text.find("foretoken:time_to_first_token_seconds_bucket{le=\"+Inf\"} 2\n"),
            std::string::npos);
  EXPECT_EQ(text.find("per_pos_total"), std::string::npos) << "before the first round";
}

TEST_F(Routes, MetricsRatesAreSinceTheLastScrapeAndCountersNeverFall) {
  server_.context->settings.endpoint_metrics = true;
  scheduler::Metrics& m = server_.service->fake_metrics;
  m.prompt_tokens = 100;
  m.prompt_seconds = 2.0;
  m.recent_ttft_seconds = {0.03};
  const std::string first = metrics();
  m.prompt_tokens = 130;
  m.prompt_seconds = 3.0;
  m.draft_rounds = 10;
  m.drafted_at = {10, 4};
  m.accepted_at = {8, 1};
  m.depth_rounds = {2, 6, 4};
  m.prefix_misses = {{"no prefix", 3}};
  m.recent_ttft_seconds.clear();
  const std::string second = metrics();
  EXPECT_EQ(value_of(second, "llamacpp:prompt_tokens_seconds"), 30.0);
  EXPECT_EQ(value_of(second, "foretoken:time_to_first_token_seconds_count"), 1.0);
  EXPECT_NE(
      second.find("llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position=\"1\"} 1\n"),
      std::string::npos);
  EXPECT_NE(second.find("foretoken:spec_accept_ratio{position=\"0\"} 0.8\n"), std::string::npos)
      << second;
  EXPECT_NE(second.find("foretoken:spec_depth_bucket{le=\"1\"} 8\n"), std::string::npos);
  EXPECT_EQ(value_of(second, "foretoken:spec_depth_sum"), 14.0);
  EXPECT_NE(second.find("foretoken:prefix_cache_miss_total{reason=\"no prefix\"} 3\n"),
            std::string::npos);
  EXPECT_EQ(value_of(metrics(), "llamacpp:prompt_tokens_seconds"), 0.0);
}

TEST_F(Routes, MetricsHeadersSayFormatAndStart) {
  server_.context->settings.endpoint_metrics = true;
  const auto exchange = server_.send("GET", "/metrics");
  exchange->wait();
  EXPECT_EQ(exchange->response().content_type, "text/plain; version=0.0.4");
  EXPECT_EQ(exchange->response().headers,
            (http::Headers{{"Process-Start-Time-Unix", "1700000000"}}));
}

TEST_F(Routes, TokenizeAndDetokenize) {
  EXPECT_EQ(server_.ask("/tokenize", {{"content", "Hi"}}).json["tokens"], Json::array({72, 105}));
  EXPECT_EQ(server_.ask("/tokenize", Json::object()).json["tokens"], Json::array());
  const TokenId start = *server_.tokenizer->find_special("<|im_start|>");
  EXPECT_EQ(server_.ask("/tokenize", {{"content", "<|im_start|>"}}).json["tokens"],
            Json::array({start}));
  EXPECT_EQ(server_.ask("/tokenize", {{"content", "<|im_start|>"}, {"parse_special", false}})
                .json["tokens"]
                .size(),
            12U);
  const Json pieces =
      server_.ask("/tokenize", {{"content", "a\u00e9"}, {"with_pieces", true}}).json["tokens"];
  EXPECT_EQ(pieces, Json::parse(R"([{"id": 97, "piece": "a"}, {"id": 195, "piece": [195]},
                                    {"id": 169, "piece": [169]}])"));
  Json body = Json::object();
  body["content"] = Json::array({"a", 98});
  EXPECT_EQ(server_.ask("/tokenize", body).json["tokens"], Json::array({97, 98}));

  Json tokens = Json::object();
  tokens["tokens"] = Json::array({72, 105, start});
  EXPECT_EQ(server_.ask("/detokenize", tokens).json["content"], "Hi<|im_start|>");
  tokens["tokens"] = Json::array({-1});
  EXPECT_EQ(server_.ask("/detokenize", tokens).status, 400);
  tokens["tokens"] = "x";
  EXPECT_EQ(server_.ask("/detokenize", tokens).status, 400);
}

TEST_F(Routes, ApplyTemplateRendersWithoutInference) {
  EXPECT_EQ(server_.ask("/apply-template", user_says("Hi")).json,
            (Json{{"prompt", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n"}}));
  EXPECT_TRUE(server_.service->seen().empty());
}

TEST_F(Routes, RefusedEndpointsSayWhy) {
  const auto check = [&](const std::string& path, int status, const std::string& type) {
    const auto answer = server_.ask(path, Json::object());
    EXPECT_EQ(answer.status, status) << path;
    EXPECT_EQ(answer.json["error"]["type"], type) << path;
    EXPECT_EQ(answer.json["error"]["code"], status) << path;
  };
  for (const char* path : {"/v1/embeddings", "/embeddings", "/embedding", "/v1/rerank",
                           "/v1/audio/transcriptions", "/lora-adapters"}) {
    check(path, 501, "not_supported_error");
  }
  check("/tools", 403, "feature_disabled");
  check("/cors-proxy", 403, "feature_disabled");
  check("/models/load", 404, "not_found_error");
  EXPECT_EQ(server_.get("/lora-adapters").json, Json::array());
}

TEST_F(Routes, BodiesThatAreNoJsonObjectAre400Everywhere) {
  for (const char* path : {"/completion", "/v1/completions", "/v1/chat/completions", "/tokenize",
                           "/detokenize", "/apply-template", "/infill"}) {
    for (const char* body : {"", "[]", "{", "\xff", "{\"a\":\"\xc3\"}"}) {
      const auto [status, json] = TestServer::finish(server_.send("POST", path, body));
      EXPECT_EQ(status, 400) << path << " " << body;
      EXPECT_EQ(json["error"]["type"], "invalid_request_error");
    }
  }
}

TEST_F(Routes, AnOverLongPromptNamesBothNumbers) {
  server_.service->n_ctx = 20;
  for (const bool stream : {false, true}) {
    Json body = user_says(std::string(50, 'x'));
    body["stream"] = stream;
    const auto [status, json] = TestServer::finish(server_.post("/v1/chat/completions", body));
    EXPECT_EQ(status, 400);
    const Json& error = json["error"];
    EXPECT_EQ(error["type"], "exceed_context_size_error");
    EXPECT_EQ(error["n_ctx"], 20);
    EXPECT_GT(error["n_prompt_tokens"].get<int>(), 50);
    EXPECT_EQ(error["message"], "request (" + error["n_prompt_tokens"].dump() +
                                    " tokens) exceeds the available context size (20 tokens), "
                                    "try increasing it");
  }
  EXPECT_EQ(server_.ask("/completion", {{"prompt", std::string(20, 'x')}}).status, 400);
  server_.service->will_say("a<|im_end|>");
  EXPECT_EQ(server_.ask("/completion", {{"prompt", std::string(19, 'x')}}).status, 200);
}

}  // namespace
}  // namespace foretoken::api
