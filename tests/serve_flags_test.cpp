// Scripts of llama-server start this server: every flag they may carry parses, each one that counts
// arrives where it should, and each one that cannot be done is refused in words.
// Source: llama.cpp's common/arg.cpp (September 2026) and the names it had before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "sanitized.h"

namespace foretoken::tests {
namespace {

using testing::HasSubstr;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

/// `serve words... --show-settings`, as JSON.
Json settings(const Words& words) {
  Words all = {"serve"};
  all.insert(all.end(), words.begin(), words.end());
  all.emplace_back("--show-settings");
  const Outcome outcome = run_program(all);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return Json::parse(outcome.out, nullptr, false);
}

Json setting(const Words& words, const char* pointer) {
  const Json all = settings(words);
  if (!all.is_object()) return nullptr;
  const Json::json_pointer at(pointer);
  return all.contains(at) ? all.at(at) : Json(nullptr);
}

/// For one test: an environment variable of this process, which the program inherits.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

struct FlagCase {
  Words words;
  const char* pointer;
  Json expected;
};

TEST(ServeFlags, ThoseThatCountArriveWhereTheyShould) {
  const std::vector<FlagCase> cases = {
      {{"-m", "a.gguf"}, "/model/model", "a.gguf"},
      {{"--model=b.gguf"}, "/model/model", "b.gguf"},
      {{"-hf", "user/model:Q8_0"}, "/model/hf_repo", "user/model:Q8_0"},
      {{"-hfr", "user/model"}, "/model/hf_repo", "user/model"},
      {{"-hff", "x.gguf"}, "/model/hf_file", "x.gguf"},
      {{"-hft", "secret"}, "/model/hf_token_given", true},
      {{"--offline"}, "/model/offline", true},
      {{"-a", "one,two"}, "/model/alias", "one,two"},
      {{"--tags", "t"}, "/model/tags", "t"},
      {{"-mm", "p.gguf"}, "/model/mmproj", "p.gguf"},
      {{"--no-mmproj"}, "/model/mmproj_auto", false},
      {{"--image-min-tokens", "16"}, "/model/image_min_tokens", 16},
      {{"--image_max_tokens", "64"}, "/model/image_max_tokens", 64},
      {{"-md", "head.gguf"}, "/model/draft_model", "head.gguf"},
      {{"-c", "8192"}, "/model/ctx_size", 8192},
      {{"-n", "-1"}, "/chat/predict", -1},
      {{"--predict", "77"}, "/chat/predict", 77},
      {{"-b", "2048", "-ub", "256"}, "/model/batch_size", 256},
      {{"-np", "3"}, "/slots/parallel", "3"},
      {{"-np", "-1"}, "/slots/parallel", "-1"},
      {{"-nocb"}, "/slots/cont_batching", false},
      {{"-t", "3"}, "/model/threads", 3},
      {{"-ctk", "q8_0"}, "/model/cache_type_k", "q8_0"},
      {{"-ctv", "q5_1"}, "/model/cache_type_v", "q8_0"},
      {{"-kvu"}, "/slots/kv_unified", true},
      {{"-no-kvu"}, "/slots/kv_unified", false},
      {{"--kv-unified-per-slot", "512"}, "/slots/kv_unified_per_slot", 512},
      {{"--no-cache-prompt"}, "/slots/cache_prompt", false},
      {{"-cram", "100"}, "/slots/cache_ram", 100},
      {{"-ctxcp", "4"}, "/slots/ctx_checkpoints", 4},
      {{"--swa-checkpoints", "5"}, "/slots/ctx_checkpoints", 5},
      {{"-cms", "64"}, "/slots/checkpoint_min_step", 64},
      {{"--slot-save-path", "/tmp"}, "/slots/slot_save_path", "/tmp"},
      {{"--sleep-idle-seconds", "9"}, "/slots/sleep_idle_seconds", 9},
      {{"--no-warmup"}, "/slots/warmup", false},
      {{"--spec-type", "draft-mtp"}, "/speculation/type", "draft-mtp"},
      {{"--spec-type", "none"}, "/speculation/type", "none"},
      {{"--spec-draft-n-max", "2"}, "/speculation/n_max", 2},
      {{"--spec-draft-n-min", "1"}, "/speculation/n_min", 1},
      {{"--spec-draft-p-min", "0.5"}, "/speculation/p_min", 0.5},
      {{"--draft-p-min", "0.25"}, "/speculation/p_min", 0.25},
      {{"--spec-draft-fixed"}, "/speculation/fixed", true},
      {{"--spec-draft-vocab", "0"}, "/speculation/vocab", 0},
      {{"--chat-template-kwargs", "{\"enable_thinking\":false}"},
       "/chat/chat_template_kwargs",
       "{\"enable_thinking\":false}"},
      {{"--chat-template", "x"}, "/chat/chat_template_given", true},
      {{"--reasoning-format", "deepseek"}, "/chat/reasoning_format", "deepseek"},
      {{"-rea", "off"}, "/chat/reasoning", "off"},
      {{"--reasoning-effort", "low"}, "/chat/reasoning_effort", "low"},
      {{"--reasoning-budget", "0"}, "/chat/reasoning_budget", 0},
      {{"--reasoning-budget-message", "enough"}, "/chat/reasoning_budget_message", "enough"},
      {{"--no-reasoning-preserve"}, "/chat/reasoning_preserve", false},
      {{"--no-empty-think"}, "/chat/empty_think", false},
      {{"--skip-chat-parsing"}, "/chat/skip_chat_parsing", true},
      {{"--no-prefill-assistant"}, "/chat/prefill_assistant", false},
      {{"-sp"}, "/chat/special", true},
      {{"--host", "0.0.0.0"}, "/server/host", "0.0.0.0"},
      {{"--port", "0"}, "/server/port", 0},
      {{"--reuse-port"}, "/server/reuse_port", true},
      {{"--api-prefix", "/llm"}, "/server/api_prefix", "/llm"},
      {{"--path", "/srv"}, "/server/path", "/srv"},
      {{"--api-key", "a,b"}, "/server/api_keys", 2},
      {{"--api-key-file", "k"}, "/server/api_key_file", "k"},
      {{"--ssl-key-file", "k"}, "/server/ssl_key_file", "k"},
      {{"--ssl-cert-file", "c"}, "/server/ssl_cert_file", "c"},
      {{"--cors-origins", "localhost"}, "/server/cors_origins", "localhost"},
      {{"--no-cors-credentials"}, "/server/cors_credentials", false},
      {{"-to", "60"}, "/server/timeout", 60},
      {{"--sse-ping-interval", "-1"}, "/server/sse_ping_interval", -1.0},
      {{"--metrics"}, "/server/metrics", true},
      {{"--no-slots"}, "/server/slots", false},
      {{"--props"}, "/server/props", true},
      {{"--no-ui"}, "/server/ui", false},
      {{"--no-webui"}, "/server/ui", false},
      {{"-s", "42"}, "/sampling/seed", 42},
      {{"--temp", "0.6"}, "/sampling/temperature", 0.6F},
      {{"--temperature", "0.5"}, "/sampling/temperature", 0.5},
      {{"--top-k", "20"}, "/sampling/top_k", 20},
      {{"--top-p", "0.5"}, "/sampling/top_p", 0.5},
      {{"--min-p", "0"}, "/sampling/min_p", 0.0},
      {{"--top-nsigma", "2"}, "/sampling/top_n_sigma", 2.0},
      {{"--typical", "0.5"}, "/sampling/typical_p", 0.5},
      {{"--repeat-last-n", "32"}, "/sampling/repeat_last_n", 32},
      {{"--repeat-penalty", "1.5"}, "/sampling/repeat_penalty", 1.5},
      {{"--presence-penalty", "1.5"}, "/sampling/presence_penalty", 1.5},
      {{"--frequency-penalty", "0.5"}, "/sampling/frequency_penalty", 0.5},
      {{"--dry-multiplier", "0.5"}, "/sampling/dry_multiplier", 0.5},
      {{"--dry-base", "2"}, "/sampling/dry_base", 2.0},
      {{"--dry-allowed-length", "3"}, "/sampling/dry_allowed_length", 3},
      {{"--dry-penalty-last-n", "128"}, "/sampling/dry_penalty_last_n", 128},
      {{"--xtc-probability", "0.5"}, "/sampling/xtc_probability", 0.5},
      {{"--xtc-threshold", "0.25"}, "/sampling/xtc_threshold", 0.25},
      {{"--dynatemp-range", "0.5"}, "/sampling/dynatemp_range", 0.5},
      {{"--dynatemp-exp", "2"}, "/sampling/dynatemp_exponent", 2.0},
      {{"--mirostat", "2"}, "/sampling/mirostat", 2},
      {{"--mirostat-lr", "0.25"}, "/sampling/mirostat_eta", 0.25},
      {{"--mirostat-ent", "3"}, "/sampling/mirostat_tau", 3.0},
      {{"--adaptive-target", "0.5"}, "/sampling/adaptive_target", 0.5},
      {{"--adaptive-decay", "0.5"}, "/sampling/adaptive_decay", 0.5},
      {{"-l", "15043+1"}, "/sampling/logit_bias/0", "15043+1"},
      {{"--ignore-eos"}, "/chat/ignore_eos", true},
      {{"--samplers", "top_k;temperature"}, "/chat/samplers", "top_k;temperature"},
      {{"--sampling-seq", "kt"}, "/chat/samplers", "kt"},
      {{"--grammar", "root ::= \"a\""}, "/chat/grammar_given", true},
      {{"-j", "{}"}, "/chat/json_schema_given", true},
      {{"-jf", "f"}, "/chat/json_schema_given", true},
      {{"-lv", "4"}, "/log/verbosity", 4},
      {{"-v"}, "/log/verbose", true},
      {{"--log-file", "l"}, "/log/file", "l"},
      {{"--log-jsonl"}, "/log/jsonl", true},
      {{"--log-colors", "off"}, "/log/colors", "off"},
      {{"--log-prefix"}, "/log/prefix", true},
      {{"--no-log-timestamps"}, "/log/timestamps", false},
      {{"--log-disable"}, "/log/disabled", true},
  };
  // Sanitized programs start slowly, and one flag is parsed like another.
  for (std::size_t i = 0; i < cases.size(); i += kSanitized ? 10 : 1) {
    const FlagCase& c = cases[i];
    EXPECT_EQ(setting(c.words, c.pointer), c.expected) << c.words.front() << " -> " << c.pointer;
  }
}

TEST(ServeFlags, OldNamesMeanTheirPresentOnes) {
  const std::vector<FlagCase> cases = {
      {{"--spec-type", "mtp"}, "/speculation/type", "draft-mtp"},
      {{"-mtp"}, "/speculation/type", "draft-mtp"},
      {{"--mtp"}, "/speculation/type", "draft-mtp"},
      {{"--draft", "2"}, "/speculation/n_max", 2},
      {{"--draft-n", "2"}, "/speculation/n_max", 2},
      {{"--draft-max", "2"}, "/speculation/n_max", 2},
      {{"--draft-min", "1"}, "/speculation/n_min", 1},
      {{"--draft-n-min", "1"}, "/speculation/n_min", 1},
      {{"--spec-type", "mtp:n_max=4,p_min=0.5"}, "/speculation/n_max", 4},
      {{"--spec-type", "mtp:n_max=4,p_min=0.5"}, "/speculation/p_min", 0.5},
      {{"--spec-type", "ngram-mod,draft-mtp"}, "/speculation/type", "draft-mtp"},
  };
  for (const FlagCase& c : cases) {
    EXPECT_EQ(setting(c.words, c.pointer), c.expected) << c.words.front() << " -> " << c.pointer;
  }
}

TEST(ServeFlags, ThoseWithoutAnEffectHereAreAccepted) {
  const Json all = settings({"-ngl",
                             "99",
                             "-dev",
                             "none",
                             "-sm",
                             "row",
                             "-ts",
                             "1,1",
                             "-mg",
                             "0",
                             "-cmoe",
                             "-ncmoe",
                             "2",
                             "-ncffn",
                             "1",
                             "-ot",
                             "x=CPU",
                             "-fit",
                             "on",
                             "-fitt",
                             "1024",
                             "-fitc",
                             "4096",
                             "-lm",
                             "mmap",
                             "--no-mmap",
                             "--mmap",
                             "--mlock",
                             "-dio",
                             "-lzm",
                             "auto",
                             "-kvo",
                             "-nkvo",
                             "--numa",
                             "distribute",
                             "--repack",
                             "-nr",
                             "--no-host",
                             "--op-offload",
                             "--no-op-offload",
                             "--check-tensors",
                             "-fa",
                             "-cb",
                             "-tb",
                             "4",
                             "--threads-http",
                             "2",
                             "-C",
                             "ff",
                             "-Cr",
                             "0-3",
                             "--cpu-strict",
                             "1",
                             "--prio",
                             "0",
                             "--poll",
                             "50",
                             "--cache-reuse",
                             "256",
                             "--context-shift",
                             "--no-context-shift",
                             "--cache-idle-slots",
                             "-sps",
                             "0.5",
                             "--keep",
                             "0",
                             "--swa-full",
                             "-dt",
                             "0.1",
                             "--spec-draft-p-split",
                             "0.1",
                             "-ngld",
                             "99",
                             "-devd",
                             "none",
                             "-ctkd",
                             "f16",
                             "-ctvd",
                             "f16",
                             "--spec-draft-backend-sampling",
                             "--spec-default",
                             "--spec-draft-cpu-moe",
                             "-ncmoed",
                             "1",
                             "-otd",
                             "x=CPU",
                             "-td",
                             "2",
                             "-tbd",
                             "2",
                             "--spec-ngram-mod-n-match",
                             "24",
                             "--spec-ngram-mod-n-min",
                             "48",
                             "--spec-ngram-mod-n-max",
                             "64",
                             "--spec-ngram-size-n",
                             "3",
                             "--spec-ngram-size-m",
                             "3",
                             "--spec-ngram-min-hits",
                             "1",
                             "-cd",
                             "0",
                             "--jinja",
                             "--no-jinja",
                             "--media-path",
                             "/tmp",
                             "--ui-config",
                             "{}",
                             "--no-agent",
                             "--mmproj-offload",
                             "--no-mmproj-offload",
                             "-mmdev",
                             "none",
                             "--mtmd-batch-max-tokens",
                             "1024",
                             "-e",
                             "--no-escape",
                             "--no-perf"});
  ASSERT_TRUE(all.is_object());
  const std::string notices = all.at("notices").dump();
  EXPECT_THAT(notices, HasSubstr("--cache-reuse"));
  EXPECT_THAT(notices, HasSubstr("--context-shift"));
}

TEST(ServeFlags, WhatCannotBeDoneIsRefusedWithTheReason) {
  const std::vector<Words> cases = {{"--lora", "x"},
                                    {"--lora-scaled", "x"},
                                    {"--control-vector", "x"},
                                    {"--rpc", "host:1"},
                                    {"--models-dir", "x"},
                                    {"--models-max", "4"},
                                    {"--embedding"},
                                    {"--rerank"},
                                    {"--pooling", "mean"},
                                    {"--tools", "all"},
                                    {"--agent"},
                                    {"-mu", "http://x/y"},
                                    {"-dr", "x"},
                                    {"--ui-mcp-proxy"},
                                    {"--yarn-orig-ctx", "1"},
                                    {"--rope-scaling", "yarn"}};
  for (Words words : cases) {
    words.insert(words.begin(), "serve");
    words.insert(words.end(), {"-m", "x.gguf"});
    const Outcome outcome = run_program(words);
    EXPECT_EQ(outcome.status, 1) << words[1];
    EXPECT_THAT(outcome.err, HasSubstr(":")) << words[1];
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST(ServeFlags, AnEmptyKeyDoesNotOpenTheServer) {
  for (const char* keys : {"", ",", ",,"}) {
    const Outcome outcome = run_program({"serve", "--api-key", keys, "--show-settings"});
    EXPECT_EQ(outcome.status, 1) << keys;
    EXPECT_THAT(outcome.err, HasSubstr("holds no key"));
  }
  EXPECT_EQ(setting({"--api-key", "a,b"}, "/server/api_keys"), 2);
}

TEST(ServeFlags, AnUnknownOneIsSaidAsLlamaServerSaysIt) {
  const Outcome outcome = run_program({"serve", "-m", "x.gguf", "--no-such-flag"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("error: invalid argument: --no-such-flag"));
}

TEST(ServeFlags, UnsupportedDraftersAreRefused) {
  for (const char* kind :
       {"draft-simple", "draft-eagle3", "draft-dflash", "nonsense", "mtp:n_max=1e300"}) {
    const Outcome outcome = run_program({"serve", "-m", "x.gguf", "--spec-type", kind});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("--spec-type")) << outcome.err;
  }
}

TEST(ServeFlags, TheEnvironmentCountsWhereTheCommandLineIsSilent) {
  const Variable port("LLAMA_ARG_PORT", "1234");
  const Variable slots("LLAMA_ARG_NO_SLOTS", "1");
  const Variable metrics("LLAMA_ARG_ENDPOINT_METRICS", "on");
  const Variable spec("LLAMA_ARG_SPEC_TYPE", "none");
  const Variable temperature("LLAMA_ARG_TEMPERATURE", "0.25");
  const Json all = settings({});
  EXPECT_EQ(all["server"]["port"], 1234);
  EXPECT_EQ(all["server"]["metrics"], true);
  EXPECT_EQ(all["speculation"]["type"], "none");
  EXPECT_EQ(all["sampling"]["temperature"], 0.25);
  EXPECT_EQ(setting({"--port", "80"}, "/server/port"), 80);
}

TEST(ServeFlags, ANegativeVariableSwitchesOff) {
  const Variable page("LLAMA_ARG_NO_UI", "1");
  EXPECT_EQ(setting({}, "/server/ui"), false);
  EXPECT_EQ(setting({"--ui"}, "/server/ui"), true);
}

TEST(ServeFlags, HelpNamesTheDraftersTheWayWrappersLookForThem) {
  const Outcome outcome = run_program({"serve", "--help"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("--spec-type"));
  EXPECT_THAT(outcome.out, HasSubstr("draft-mtp"));
  EXPECT_THAT(outcome.out, HasSubstr("--spec-draft-n-max"));
  EXPECT_THAT(outcome.out, HasSubstr("--spec-draft-p-min"));
}

TEST(ServeFlags, TheVersionHasTheFormThatScriptsRead) {
  const Outcome outcome = run_program({"serve", "--version"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, testing::MatchesRegex("version: [0-9]+ \\(ft[0-9.]+\\)\n"));
}

TEST(ServeFlags, DevicesAreListed) {
  const Outcome outcome = run_program({"serve", "--list-devices"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("CPU"));
}

TEST(ServeFlags, AModelThatIsNotThereIsOneSentence) {
  const Outcome none = run_program({"serve", "--port", "0"});
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("-m"));
  const Outcome missing = run_program({"serve", "--port", "0", "-m", "/nowhere/x.gguf"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("/nowhere/x.gguf"));
}

}  // namespace
}  // namespace foretoken::tests
