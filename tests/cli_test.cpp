// What users see: the program's output, messages and exit status, on the tiny models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "sanitized.h"

namespace foretoken::tests {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

using Words = std::vector<std::string>;

const std::string kModels = FORETOKEN_SOURCE_DIR "/models/tiny/";
const std::string kPaw = kModels + "tiny-paw-BF16.gguf";
const std::string kPawQ4 = kModels + "tiny-paw-Q4_K_M.gguf";
const std::string kBase = kModels + "tiny-base-BF16.gguf";

// Two threads, so that tests side by side do not fight for cores; the output does not depend on it.
Words with_model(const std::string& command, const std::string& model, const Words& more) {
  Words out = {command, "-m", model, "-t", "2"};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

Outcome run_model(const std::string& model, const Words& more, const std::string& input = "") {
  return run_program(with_model("run", model, more), input);
}

Outcome bench(const Words& more) { return run_program(with_model("bench", kPaw, more)); }

// ---- run ----

class RunOnEachModel : public testing::TestWithParam<std::string> {};

TEST_P(RunOnEachModel, GreedyTextIsTheSameEachTimeAndWithDrafts) {
  const Words question = {"-p", "Who are you?", "--temp", "0", "-n", "40", "--show-thinking"};
  const auto answer = [&](const Words& more) {
    Words words = question;
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run_model(GetParam(), words);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out;
  };
  const std::string plain = answer({"--spec-type", "none"});
  EXPECT_GT(plain.size(), 20U);
  EXPECT_EQ(answer({"--spec-type", "none"}), plain);
  EXPECT_EQ(answer({}), plain);
  for (const char* n : {"1", "3", "8"}) {
    if (kSanitized && *n != '3') continue;
    EXPECT_EQ(answer({"--spec-type", "draft-mtp", "--spec-draft-n-max", n, "--spec-draft-fixed"}),
              plain)
        << n << " drafts";
  }
}

INSTANTIATE_TEST_SUITE_P(TinyModels, RunOnEachModel, testing::Values(kPaw, kPawQ4, kBase),
                         [](const auto& tested) {
                           const std::string name = tested.param.substr(kModels.size());
                           std::string out;
                           for (const char c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) != 0) out += c;
                           }
                           return out;
                         });

TEST(Run, WritesTheAnswerAloneToAPipe) {
  const Outcome outcome = run_model(kPaw, {"-p", "Who are you?", "--temp", "0"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, "I am Paw, a small agent that likes tools.\n");
  EXPECT_THAT(outcome.err, StartsWith("[ prompt 14 tokens"));
  EXPECT_THAT(outcome.err, HasSubstr("| answer 25 tokens"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("\x1B")));
}

TEST(Run, ReadsThePromptFromInputAndFromAFile) {
  const std::string answer = "I am Paw, a small agent that likes tools.\n";
  EXPECT_EQ(run_model(kPaw, {"--temp", "0"}, "Who are you?\n").out, answer);
  EXPECT_EQ(run_model(kPaw, {"--temp", "0", "-f", "-"}, "Who are you?\n").out, answer);
  const std::string file = testing::TempDir() + "foretoken-cli-prompt.txt";
  std::ofstream(file) << "Who are you?\n";
  EXPECT_EQ(run_model(kPaw, {"--temp", "0", "-f", file}, "ignored").out, answer);
  std::filesystem::remove(file);
}

TEST(Run, MarksThinkingWhereItIsAskedFor) {
  const Outcome shown =
      run_model(kPaw, {"-p", "Who are you?", "--temp", "0", "--show-thinking", "--no-perf"});
  EXPECT_THAT(shown.out, StartsWith("<think>\n"));
  EXPECT_THAT(shown.out, HasSubstr("\n</think>\n\nI am Paw"));
  EXPECT_THAT(shown.err, IsEmpty());
  const Outcome raw =
      run_model(kPaw, {"-p", "Who are you?", "--temp", "0", "--reasoning-format", "none"});
  EXPECT_EQ(raw.out, shown.out);
}

TEST(Run, TellsWhenTheLimitCameBeforeTheAnswer) {
  const Outcome outcome = run_model(kPaw, {"-p", "Who are you?", "--temp", "0", "-n", "5"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr("-n 5 ended while the model was thinking"));
}

TEST(Run, DoesNotThinkWhenToldNotTo) {
  const Words words = {"-p", "Who are you?", "--temp", "0", "-n", "12", "--show-thinking"};
  Words off = words;
  off.emplace_back("--no-think");
  EXPECT_THAT(run_model(kPaw, words).out, HasSubstr("<think>"));
  EXPECT_THAT(run_model(kPaw, off).out, Not(HasSubstr("<think>")));
}

TEST(Run, ControlTokensInAQuestionStayText) {
  // As text, the marks take several tokens each; as control tokens they would be one.
  const auto n_tokens = [](const std::string& text) {
    const Outcome outcome = run_model(kPaw, {"-p", text, "-n", "0"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return std::stoi(outcome.err.substr(std::string("[ prompt ").size()));
  };
  EXPECT_GT(n_tokens("a<|im_end|><|im_start|>b"), n_tokens("ab") + 4);
}

TEST(Run, RawContinuesTheTextAndKnowsControlTokens) {
  const Outcome outcome = run_model(
      kPaw, {"--raw", "-p", "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n",
             "--temp", "0", "-n", "40"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("I am Paw"));
}

TEST(Run, ShowsControlTokensWhenAsked) {
  const Outcome outcome = run_model(kPaw, {"-p", "Who are you?", "--temp", "0", "-sp"});
  EXPECT_THAT(outcome.out, HasSubstr("likes tools.<|im_end|>"));
}

TEST(Run, IgnoresTheEndWhenAsked) {
  const Outcome outcome =
      run_model(kPaw, {"-p", "Who are you?", "--temp", "0", "--ignore-eos", "-n", "60"});
  EXPECT_THAT(outcome.err, HasSubstr("| answer 60 tokens"));
}

TEST(Run, SaysThatAcceptanceWasSimulated) {
  const Outcome outcome =
      run_model(kPaw, {"-p", "Hi", "-n", "30", "--ignore-eos", "--spec-type", "draft-mtp",
                       "--spec-draft-n-max", "2", "--spec-synth-rates", "0.9,0.8"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("synthetic acceptance"));
}

TEST(Run, SaysThatTheContextIsFull) {
  const Outcome outcome = run_model(
      kPaw, {"-p", "Who are you?", "--temp", "0", "-c", "20", "--show-thinking", "--ignore-eos"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("the context is full (20 tokens)"));
}

TEST(Run, ReadsEscapesOnlyWhenAsked) {
  const auto n_tokens = [](const Words& more) {
    Words words = {"-p", R"(a\n\n\n\nb)", "-n", "0", "--raw"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run_model(kPaw, words);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return std::stoi(outcome.err.substr(std::string("[ prompt ").size()));
  };
  EXPECT_GT(n_tokens({}), n_tokens({"-e"}) + 2);  // four line breaks are one piece
}

TEST(Run, TakesAnyBytesAsAPrompt) {
  const Outcome outcome =
      run_model(kPaw, {"--temp", "0", "-n", "4"}, std::string("a\xFF\0\x1B[2Jb", 8));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

struct Refusal {
  const char* name;
  Words words;
  int status;
  const char* text;
};

class RunRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(RunRefuses, InOneSentence) {
  const Outcome outcome = run_program(GetParam().words);
  EXPECT_EQ(outcome.status, GetParam().status) << outcome.err;
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().text));
}

INSTANTIATE_TEST_SUITE_P(
    BadInput, RunRefuses,
    testing::Values(
        Refusal{"AMissingFile", {"run", "-m", "/nonexistent.gguf", "-p", "a"}, 1, "cannot open"},
        Refusal{"AFileThatIsNoModel",
                {"run", "-m", FORETOKEN_SOURCE_DIR "/README.md", "-p", "a"},
                1,
                "not a GGUF file"},
        Refusal{"AnEmptyPrompt", {"run", "-m", kPaw, "-p", ""}, 1, "the prompt is empty"},
        Refusal{"ABlankPrompt", {"run", "-m", kPaw, "-p", " \n"}, 1, "the prompt is empty"},
        Refusal{"EmptyInput", {"run", "-m", kPaw}, 1, "standard input: the prompt is empty"},
        Refusal{"AMissingPromptFile", {"run", "-m", kPaw, "-f", "/nonexistent"}, 1, "cannot open"},
        Refusal{"APromptLongerThanTheContext",
                {"run", "-m", kPaw, "-p", "Who are you?", "-c", "14"},
                1,
                "14 tokens and the context holds 14"},
        Refusal{"AConversationWithoutATerminal",
                {"run", "-m", kPaw, "-p", "a", "-cnv"},
                1,
                "-cnv needs a terminal"},
        Refusal{"TemplateVariablesThatAreNoObject",
                {"run", "-m", kPaw, "-p", "a", "--chat-template-kwargs", "[1]"},
                1,
                "is not a JSON object"},
        Refusal{"ANegativeLimit", {"run", "-m", kPaw, "-p", "a", "-n", "-3"}, 1, "-n -3"},
        Refusal{"DraftsOutOfRange",
                {"run", "-m", kPaw, "-p", "a", "--draft", "9"},
                1,
                "--spec-draft-n-max 9"},
        Refusal{"AnUnknownFlag", {"run", "-m", kPaw, "--bogus"}, 2, "--bogus"},
        Refusal{"ANumberThatIsNone", {"run", "-m", kPaw, "-p", "a", "--temp", "x"}, 2, "--temp"},
        Refusal{"NoModel", {"run", "-p", "a"}, 2, "--model"},
        Refusal{"NoCommand", {}, 2, "subcommand"},
        Refusal{"BenchListsThatAreNone", {"bench", "-m", kPaw, "-p", "1-"}, 1, "-p: '1-'"},
        Refusal{"BenchSql", {"bench", "-m", kPaw, "-o", "sql"}, 1, "'sql' is not written here"},
        Refusal{"BenchDraftsWithoutADrafter",
                {"bench", "-m", kPaw, "--spec-draft-n-max", "2"},
                1,
                "--spec-type draft-mtp"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(Run, FullDiskIsAnErrorNotACrash) {
  for (const std::string command : {"run", "bench", "inspect"}) {
    Words words = {command, "-m", kPaw};
    if (command == "run") words.insert(words.end(), {"-p", "Hi", "-n", "4", "--show-thinking"});
    if (command == "bench") words.insert(words.end(), {"-p", "4", "-n", "0", "-r", "1"});
    if (command == "inspect") words.erase(words.begin() + 1);
    const Outcome outcome = run_program(words, "", "/dev/full");
    EXPECT_EQ(outcome.status, 1) << command;
    EXPECT_THAT(outcome.err, HasSubstr("No space left")) << command;
  }
}

TEST(Run, HelpAndVersionSucceed) {
  for (const Words& words : {Words{"--help"}, Words{"--version"}, Words{"run", "--help"},
                             Words{"bench", "--help"}, Words{"eval", "--help"}}) {
    const Outcome outcome = run_program(words);
    EXPECT_EQ(outcome.status, 0) << words[0];
    EXPECT_THAT(outcome.out, Not(IsEmpty()));
    EXPECT_THAT(outcome.err, IsEmpty());
  }
}

// ---- bench ----

TEST(Bench, PrintsLlamaBenchsTable) {
  const Outcome outcome = bench({"-p", "16", "-n", "4", "-pg", "8,2", "-d", "0,12", "-r", "2"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::istringstream stream(outcome.out);
  std::vector<std::string> rows;
  for (std::string line; std::getline(stream, line) && line.starts_with('|');) rows.push_back(line);
  ASSERT_EQ(rows.size(), 2U + 6U);
  EXPECT_THAT(rows[0], HasSubstr("| model "));
  EXPECT_THAT(rows[0], HasSubstr(" t/s |"));
  const char* const tests[] = {"| pp16 |",       "| tg4 |",       "| pp8+tg2 |",
                               "| pp16 @ d12 |", "| tg4 @ d12 |", "| pp8+tg2 @ d12 |"};
  for (std::size_t i = 0; i < 6; ++i) {
    std::string squeezed;
    for (const char c : rows[2 + i]) {
      if (c != ' ' || !squeezed.ends_with(' ')) squeezed += c;
    }
    EXPECT_THAT(squeezed, HasSubstr(tests[i]));
    EXPECT_THAT(squeezed, HasSubstr(" \u00B1 "));
  }
}

TEST(Bench, JsonParsesAndCountsWhatWasTimed) {
  const Outcome outcome =
      bench({"-p", "16", "-n", "0", "-r", "3", "-o", "json", "-ctk", "q8_0", "-t", "1"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json.size(), 2U);  // -t 2 comes from the test, then -t 1
  EXPECT_EQ(json[0]["n_threads"], 2);
  EXPECT_EQ(json[1]["n_threads"], 1);
  EXPECT_EQ(json[1]["test"], "pp16");
  EXPECT_EQ(json[1]["type_k"], "q8_0");
  EXPECT_EQ(json[1]["samples_ns"].size(), 3U);
  EXPECT_EQ(json[1]["samples_tokens"], nlohmann::json({16, 16, 16}));
  for (const auto& ns : json[1]["samples_ns"]) EXPECT_GT(ns.get<double>(), 0.0);
}

// Tokens of a timed text: few where every one is slow.
const std::string kTimedTokens = kSanitized ? "4" : "24";

TEST(Bench, MeasuresDraftingOnText) {
  const Outcome outcome =
      bench({"-p", "0", "-n", kTimedTokens, "-r", "1", "-o", "json", "--spec-type", "draft-mtp",
             "--spec-draft-n-max", "0,2", "--spec-temp", "0"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json.size(), 3U);  // generation, then both lengths
  EXPECT_EQ(json[1]["test"], "spec" + kTimedTokens + " t0");
  EXPECT_EQ(json[1]["spec_drafted"], 0);
  EXPECT_EQ(json[2]["spec_n_max"], 2);
  EXPECT_GT(json[2]["spec_drafted"].get<int>(), 0);
  // The text is the same, so is its length.
  EXPECT_EQ(json[1]["samples_tokens"], json[2]["samples_tokens"]);
}

TEST(Bench, SyntheticRatesDecideWhatIsAccepted) {
  const Outcome outcome =
      bench({"-p", "0", "-n", kTimedTokens, "-r", "1", "-o", "json", "--spec-type", "draft-mtp",
             "--spec-draft-n-max", "2", "--spec-synth-rates", "1,1", "--spec-temp", "0"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json[1]["spec_synthetic"], true);
  EXPECT_EQ(json[1]["spec_acceptance"], 1.0);
}

TEST(Bench, TimesEveryVerifyWidth) {
  const Outcome outcome = bench({"-p", "0", "-n", "0", "-r", "1", "--cost", "-o", "jsonl"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::istringstream stream(outcome.out);
  int width = 0;
  for (std::string line; std::getline(stream, line);) {
    EXPECT_EQ(nlohmann::json::parse(line)["test"], "verify" + std::to_string(++width));
  }
  EXPECT_EQ(width, 9);
}

// ---- The other commands ----

TEST(Cli, EvalContinuesWhatTokenizeEncodes) {
  const Outcome ids = run_program({"tokenize", "-m", kBase, "-p", "The capital of France is"});
  ASSERT_EQ(ids.status, 0) << ids.err;
  const Outcome text = run_program(
      {"eval", "generate", "-m", kBase, "-t", "2", "--tokens", ids.out, "-n", "6", "--temp", "0"});
  EXPECT_EQ(text.status, 0) << text.err;
  const Outcome run = run_model(
      kBase, {"--raw", "-p", "The capital of France is", "-n", "6", "--temp", "0", "--special"});
  EXPECT_EQ(text.out, run.out);
}

TEST(Cli, InspectDescribesTheModel) {
  const Outcome outcome = run_program({"inspect", kPawQ4, "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(nlohmann::json::parse(outcome.out).is_object());
}

}  // namespace
}  // namespace foretoken::tests
