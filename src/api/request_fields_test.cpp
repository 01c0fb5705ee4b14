#include "api/request_fields.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "api/generation_settings.h"
#include "api/sampler_names.h"
#include "api/test_server.h"
#include "base/error.h"

namespace foretoken::api {
namespace {

class Fields : public testing::Test {
 protected:
  RequestFields read(const char* json) {
    return read_request_fields(*server_.context, Json::parse(json));
  }
  std::string refusal(const char* json) {
    try {
      read(json);
    } catch (const RequestError& error) {
      return error.what();
    }
    return "";
  }
  TestServer server_;
};

TEST_F(Fields, DefaultsAreThoseOfLlamaServer) {
  const RequestFields f = read("{}");
  EXPECT_EQ(f.n_predict, -1);
  EXPECT_EQ(f.sampling.temperature, 0.8F);
  EXPECT_EQ(f.sampling.top_k, 40);
  EXPECT_EQ(f.sampling.top_p, 0.95F);
  EXPECT_EQ(f.sampling.min_p, 0.05F);
  EXPECT_EQ(f.sampling.seed, 4294967295U);
  EXPECT_TRUE(f.cache_prompt);
  EXPECT_EQ(f.n_choices, 1);
  EXPECT_EQ(f.id_slot, -1);
  EXPECT_FALSE(f.want_logprobs);
  EXPECT_EQ(f.samplers, default_samplers());
}

TEST_F(Fields, NullMeansAbsentEverywhere) {
  EXPECT_EQ(read(R"({"temperature": null, "stop": null, "max_tokens": null, "n": null,
                     "logit_bias": null, "samplers": null, "grammar": null, "seed": null,
                     "stream_options": null, "speculative": null, "lora": null})")
                .sampling.temperature,
            0.8F);
}

TEST_F(Fields, AliasesOfTheTokenLimitAndTheirOrder) {
  EXPECT_EQ(read(R"({"max_tokens": 7})").n_predict, 7);
  EXPECT_EQ(read(R"({"max_completion_tokens": 8, "max_tokens": 7})").n_predict, 8);
  EXPECT_EQ(read(R"({"n_predict": 9, "max_completion_tokens": 8})").n_predict, 9);
  server_.context->defaults.n_predict = 5;
  EXPECT_EQ(read(R"({"n_predict": 9})").n_predict, 5);
  EXPECT_EQ(read(R"({"n_predict": -1})").n_predict, 5);
  EXPECT_EQ(read(R"({"n_predict": 3})").n_predict, 3);
}

TEST_F(Fields, AWrongTypeFallsBackWithARemark) {
  EXPECT_EQ(read(R"({"temperature": "hot", "stream": "yes"})").sampling.temperature, 0.8F);
  ASSERT_EQ(server_.log().size(), 2U);
  EXPECT_EQ(server_.log()[1],
            "request field 'temperature' is ignored: a number expected, string found");
}

TEST_F(Fields, ValuesAreClampedOrRefusedByName) {
  EXPECT_EQ(read(R"({"top_p": 1.5, "temperature": -1, "top_k": -3})").sampling.top_p, 1.0F);
  EXPECT_EQ(refusal(R"({"n": 3})"), "Field 'n': Value must be between 1 <= value <= 2, but got 3");
  EXPECT_EQ(refusal(R"({"n_predict": -2})"),
            "Field 'n_predict': Value must be between -1 <= value <= 2147483647, but got -2");
  EXPECT_EQ(refusal(R"({"id_slot": 2})"), "Field 'id_slot': there is no slot 2, only 0 to 1");
  EXPECT_EQ(refusal(R"({"lora": [{"id": 0}]})"),
            "Field 'lora': this server has no adapters; leave the list empty");
  EXPECT_NE(refusal(R"({"repeat_penalty": 0})"), "");
  EXPECT_EQ(refusal(R"({"n_probs": 1001})").substr(0, 16), "Field 'n_probs':");
}

TEST_F(Fields, SeedsWrapAndMinusOneIsRandom) {
  EXPECT_EQ(read(R"({"seed": -1})").sampling.seed, 4294967295U);
  EXPECT_EQ(read(R"({"seed": 42})").sampling.seed, 42U);
  EXPECT_EQ(read(R"({"seed": 4294967338})").sampling.seed, 42U);
}

TEST_F(Fields, MinusOneWindowsAreTheWholeContext) {
  EXPECT_EQ(read(R"({"repeat_last_n": -1})").sampling.repeat_last_n, 4096);
  EXPECT_EQ(read(R"({"dry_penalty_last_n": -1})").sampling.dry_penalty_last_n, 4096);
}

TEST_F(Fields, SamplersOfRolePlayersAreRead) {
  const auto p = read(R"({"mirostat": 2, "mirostat_tau": 4, "mirostat_eta": 0.2,
                          "xtc_probability": 0.5, "xtc_threshold": 0.2, "dynatemp_range": 0.3,
                          "dynatemp_exponent": 1.5, "adaptive_target": 0.4,
                          "adaptive_decay": 0.8})")
                     .sampling;
  EXPECT_EQ(p.mirostat, 2);
  EXPECT_EQ(p.mirostat_tau, 4.0F);
  EXPECT_EQ(p.mirostat_eta, 0.2F);
  EXPECT_EQ(p.xtc_probability, 0.5F);
  EXPECT_EQ(p.xtc_threshold, 0.2F);
  EXPECT_EQ(p.dynatemp_range, 0.3F);
  EXPECT_EQ(p.dynatemp_exponent, 1.5F);
  EXPECT_EQ(p.adaptive_target, 0.4F);
  EXPECT_EQ(p.adaptive_decay, 0.8F);
  EXPECT_TRUE(p.order.empty());
}

TEST_F(Fields, AdaptivePComesLastAndOnlyIfNamedInAList) {
  EXPECT_EQ(read(R"({"adaptive_target": 0.4})").samplers.back(), "adaptive_p");
  EXPECT_EQ(read(R"({"adaptive_target": 0.4, "samplers": "kt"})").sampling.adaptive_target, -1.0F);
  const RequestFields f = read(R"({"adaptive_target": 0.4, "samplers": ["adaptive-p", "top_k"]})");
  EXPECT_EQ(f.sampling.adaptive_target, 0.4F);
  EXPECT_TRUE(f.sampling.order.empty());
  EXPECT_EQ(read("{}").samplers, default_samplers());
}

TEST_F(Fields, MirostatKeepsItsTemperature) {
  EXPECT_EQ(read(R"({"samplers": "k", "temperature": 0.6})").sampling.temperature, 1.0F);
  EXPECT_EQ(read(R"({"samplers": "k", "temperature": 0.6, "mirostat": 1})").sampling.temperature,
            0.6F);
}

TEST_F(Fields, ASamplerLeftOutIsSwitchedOff) {
  const RequestFields f = read(R"({"samplers": ["top_k", "Temperature"], "repeat_penalty": 1.3})");
  EXPECT_EQ(f.samplers, (std::vector<std::string>{"top_k", "temperature"}));
  EXPECT_EQ(f.sampling.top_k, 40);
  EXPECT_EQ(f.sampling.top_p, 1.0F);
  EXPECT_EQ(f.sampling.min_p, 0.0F);
  EXPECT_EQ(f.sampling.repeat_penalty, 1.0F);
  EXPECT_EQ(f.sampling.temperature, 0.8F);
  EXPECT_TRUE(server_.log().empty());
}

TEST_F(Fields, SamplersByLettersAliasesAndUnknownNames) {
  EXPECT_EQ(read(R"({"samplers": "edskypmxt"})").samplers, default_samplers());
  EXPECT_TRUE(server_.log().empty());
  EXPECT_EQ(read(R"({"samplers": ["temp", "nucleus", "min-p", "magic"]})").samplers,
            (std::vector<std::string>{"temperature", "top_p", "min_p"}));
  EXPECT_EQ(server_.log().size(), 1U);  // the unknown one
}

TEST_F(Fields, SamplersAreAppliedInTheOrderAskedFor) {
  using enum sampling::ChainStep;
  EXPECT_EQ(read(R"({"samplers": ["temperature", "top_k", "min_p"]})").sampling.order,
            (std::vector{Temperature, TopK, MinP}));
  EXPECT_TRUE(read(R"({"samplers": ["top_k", "min_p", "temperature"]})").sampling.order.empty());
}

TEST_F(Fields, LogitBiasById_TextAndFalse) {
  const auto bias = read(R"({"logit_bias": {"97": -5, "bc": 2.5, "100": false, "x": "no",
                                            "99999": 1}})")
                        .sampling.logit_bias;
  ASSERT_EQ(bias.size(), 4U);
  EXPECT_EQ(bias[0].token, 97);
  EXPECT_EQ(bias[0].bias, -5.0F);
  EXPECT_EQ(bias[1].token, 'b');
  EXPECT_EQ(bias[2].token, 'c');
  EXPECT_EQ(bias[2].bias, 2.5F);
  EXPECT_EQ(bias[3].token, 100);
  EXPECT_TRUE(std::isinf(bias[3].bias));
  const auto pairs =
      read(R"({"logit_bias": [[97, -5], ["b", false], [98], 3, ["c", true]]})").sampling.logit_bias;
  ASSERT_EQ(pairs.size(), 2U);
  EXPECT_EQ(pairs[1].token, 'b');
}

TEST_F(Fields, ManyMistakesInAListAreOneLineOfTheLog) {
  Json body = {{"stop", Json::array()}, {"samplers", Json::array()}};
  for (int i = 0; i < 1000; ++i) {
    body["stop"].push_back(i);
    body["samplers"].push_back("no such sampler");
  }
  read(body.dump().c_str());
  EXPECT_EQ(server_.log().size(), 2U);
}

TEST_F(Fields, RefusesListsThatTheWorkerWouldWalkForEveryone) {
  Json body = {{"response_fields", Json::array()}};
  for (int i = 0; i < 257; ++i) body["response_fields"].push_back("content");
  EXPECT_THROW(read(body.dump().c_str()), RequestError);
}

TEST_F(Fields, LogitBiasOfATokenNamedAgainAddsUp) {
  Json body = {{"logit_bias", Json::array()}};
  for (int i = 0; i < 100000; ++i) body["logit_bias"].push_back({97 + i % 2, 1e38});
  body["logit_bias"].push_back({"c", 1.5});
  body["logit_bias"].push_back({"c", -0.5});
  body["logit_bias"].push_back({98, false});
  body["logit_bias"].push_back({98, 5});
  const auto bias = read(body.dump().c_str()).sampling.logit_bias;
  ASSERT_EQ(bias.size(), 3U);
  EXPECT_EQ(bias[0].token, 97);
  EXPECT_EQ(bias[0].bias, std::numeric_limits<float>::max());
  EXPECT_EQ(bias[1].token, 98);
  EXPECT_EQ(bias[1].bias, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(bias[2].token, 'c');
  EXPECT_EQ(bias[2].bias, 1.0F);
}

TEST_F(Fields, IgnoreEosBansEveryEnd) {
  const auto bias = read(R"({"ignore_eos": true})").sampling.logit_bias;
  std::vector<std::string> banned;
  for (const auto& entry : bias) {
    EXPECT_TRUE(std::isinf(entry.bias));
    banned.emplace_back(server_.tokenizer->piece(entry.token));
  }
  EXPECT_EQ(banned, (std::vector<std::string>{"<|endoftext|>", "<|im_end|>", "<|repo_name|>",
                                              "<|file_sep|>"}));
}

TEST_F(Fields, DryBreakersBecomeTokensOnlyWhenDryIsOn) {
  EXPECT_TRUE(read(R"({"dry_sequence_breakers": ["ab"]})").sampling.dry_sequence_breakers.empty());
  const auto sequences = read(R"({"dry_multiplier": 0.8, "dry_sequence_breakers": ["ab"]})")
                             .sampling.dry_sequence_breakers;
  EXPECT_EQ(sequences, (std::vector<std::vector<TokenId>>{{'a', 'b'}}));
  EXPECT_NE(refusal(R"({"dry_sequence_breakers": []})"), "");
}

TEST_F(Fields, SpeculationFlatAndAsObjectIsClampedNeverRefused) {
  server_.context->defaults.speculation.limits.n_max = 4;
  EXPECT_EQ(read(R"({"speculative.n_max": 2})").speculation.limits.n_max, 2);
  EXPECT_EQ(read(R"({"speculative": {"n_max": 1, "p_min": 0.5}})").speculation.limits.n_max, 1);
  EXPECT_EQ(read(R"({"speculative": {"p_min": 0.5}})").speculation.limits.p_min, 0.5F);
  EXPECT_EQ(read(R"({"speculative.n_max": 99})").speculation.limits.n_max, 4);
  using Type = engine::SpeculationOptions::Type;
  EXPECT_EQ(read(R"({"speculative.n_max": 0})").speculation.type, Type::None);
  EXPECT_EQ(read(R"({"speculative.type": "none"})").speculation.type, Type::None);
  EXPECT_EQ(read(R"({"speculative.type": "draft-eagle3"})").speculation.type, Type::Auto);
  EXPECT_EQ(read(R"({"speculative": 3, "speculative.n_max": "x"})").speculation.limits.n_max, 4);
}

TEST_F(Fields, GrammarAndSchemaExcludeEachOther) {
  EXPECT_EQ(refusal(R"({"grammar": "root ::= \"a\"", "json_schema": {}})"),
            "Cannot use both json_schema and grammar: leave one of them out");
  EXPECT_EQ(refusal(R"({"grammar": "", "json_schema": {}})"), "");
  EXPECT_EQ((*read(R"({"json_schema": {}})").schema)["type"], "object");
  EXPECT_NE(refusal(R"({"json_schema": 123})").find("Field 'json_schema'"), std::string::npos);
  EXPECT_NE(refusal(R"({"grammar": "root ::= \"a\"", "grammar_lazy": true})"), "");
}

TEST_F(Fields, StopIsAStringOrAList) {
  EXPECT_EQ(read(R"({"stop": "x"})").stop, std::vector<std::string>{"x"});
  EXPECT_EQ(read(R"({"stop": ["x", "", "y", 3]})").stop, (std::vector<std::string>{"x", "y"}));
  server_.context->defaults.stop = {"CLI"};
  EXPECT_EQ(read(R"({"stop": []})").stop, std::vector<std::string>{"CLI"});
  EXPECT_NE(refusal(("{\"stop\": \"" + std::string(5000, 'x') + "\"}").c_str()), "");
}

TEST_F(Fields, GenerationSettingsHaveExactlyTheKnownKeys) {
  const std::vector<std::string> full = {"seed",
                                         "temperature",
                                         "dynatemp_range",
                                         "dynatemp_exponent",
                                         "top_k",
                                         "top_p",
                                         "min_p",
                                         "top_n_sigma",
                                         "xtc_probability",
                                         "xtc_threshold",
                                         "typical_p",
                                         "repeat_last_n",
                                         "repeat_penalty",
                                         "presence_penalty",
                                         "frequency_penalty",
                                         "dry_multiplier",
                                         "dry_base",
                                         "dry_allowed_length",
                                         "dry_penalty_last_n",
                                         "dry_sequence_breakers",
                                         "mirostat",
                                         "mirostat_tau",
                                         "mirostat_eta",
                                         "adaptive_target",
                                         "adaptive_decay",
                                         "stop",
                                         "max_tokens",
                                         "n_predict",
                                         "n_keep",
                                         "n_discard",
                                         "ignore_eos",
                                         "stream",
                                         "logit_bias",
                                         "n_probs",
                                         "min_keep",
                                         "grammar",
                                         "grammar_lazy",
                                         "grammar_triggers",
                                         "preserved_tokens",
                                         "chat_format",
                                         "reasoning_format",
                                         "reasoning_in_content",
                                         "generation_prompt",
                                         "samplers",
                                         "speculative.types",
                                         "speculative.n_max",
                                         "speculative.n_min",
                                         "speculative.p_min",
                                         "timings_per_token",
                                         "post_sampling_probs",
                                         "backend_sampling",
                                         "lora"};
  const RequestFields f = read(R"({"temperature": 0.3, "seed": -1})");
  const Json json = generation_settings(*server_.context, f, SettingsDetail::Full);
  EXPECT_EQ(keys_of(json), full);
  EXPECT_EQ(json["seed"], 4294967295U);
  EXPECT_EQ(json["temperature"].get<float>(), 0.3F);
  EXPECT_EQ(json["speculative.types"], "draft-mtp");

  std::vector<std::string> brief = full;
  for (const char* bulky : {"dry_sequence_breakers", "stop", "logit_bias", "grammar",
                            "grammar_lazy", "grammar_triggers", "preserved_tokens"}) {
    std::erase(brief, bulky);
  }
  EXPECT_EQ(keys_of(generation_settings(*server_.context, f, SettingsDetail::Short)), brief);
}

}  // namespace
}  // namespace foretoken::api
