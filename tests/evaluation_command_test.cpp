// `foretoken imatrix` and `foretoken eval` as users run them, on the tiny models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "eval/bundled_text.h"
#include "gguf/imatrix_file.h"
#include "program.h"

namespace foretoken::tests {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Words = std::vector<std::string>;

const std::string kModels = FORETOKEN_SOURCE_DIR "/models/tiny/";
const std::string kPaw = kModels + "tiny-paw-BF16.gguf";
const std::string kPawQ4 = kModels + "tiny-paw-Q4_K_M.gguf";
const std::string kText = FORETOKEN_SOURCE_DIR "/src/eval/data/bundled_text.txt";

/// A folder of its own for each test.
class Commands : public testing::Test {
 protected:
  Commands() : folder_(testing::TempDir() + "foretoken-eval-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  }
  ~Commands() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  Outcome imatrix(const Words& more, const std::string& input = "") const {
    return run("imatrix", "", more, input);
  }
  Outcome eval(const std::string& measure, const Words& more, const std::string& input = "") const {
    return run("eval", measure, more, input);
  }

  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      out.push_back(entry.path().filename().string());
    }
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  static Outcome run(const std::string& command, const std::string& sub, const Words& more,
                     const std::string& input) {
    Words words = {command};
    if (!sub.empty()) words.push_back(sub);
    words.insert(words.end(), more.begin(), more.end());
    return run_program(words, input);
  }

  std::string folder_;
};

using ImatrixCommand = Commands;
using EvalCommand = Commands;

// ---- imatrix ----

TEST_F(ImatrixCommand, MeasuresATextAndSaysWhatItDid) {
  const std::string out = path("a.gguf");
  const Outcome outcome =
      imatrix({"-m", kPaw, "-t", "2", "-f", kText, "-c", "256", "--chunks", "3", "-o", out});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("70 weights, 3 chunks of 256 tokens"));
  EXPECT_THAT(outcome.out, HasSubstr("perplexity "));
  EXPECT_THAT(outcome.err, IsEmpty());
  const gguf::ImatrixFile file = gguf::read_imatrix(out);
  EXPECT_EQ(file.chunk_count, 3U);
  EXPECT_EQ(file.chunk_size, 256U);
  EXPECT_EQ(file.datasets, std::vector<std::string>{kText});
  EXPECT_TRUE(file.entries.contains("blk.8.nextn.eh_proj.weight"));
}

TEST_F(ImatrixCommand, KnowsLlamaImatrixOptions) {
  const std::string out = path("a.dat");
  const Outcome outcome = imatrix({"-m",
                                   kPawQ4,
                                   "-t",
                                   "2",
                                   "-f",
                                   "-",
                                   "-o",
                                   out,
                                   "--output-format",
                                   "dat",
                                   "-ofreq",
                                   "1",
                                   "--no-ppl",
                                   "--process-output",
                                   "--chunk",
                                   "1",
                                   "-c",
                                   "128",
                                   "-b",
                                   "64",
                                   "--json"},
                                  std::string(eval::bundled_text()).substr(0, 3000));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto result = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(result.at("weights"), 71);
  EXPECT_EQ(result.at("chunk_size"), 128);
  EXPECT_FALSE(result.contains("perplexity"));
  EXPECT_TRUE(gguf::read_imatrix(out).legacy);
}

TEST_F(ImatrixCommand, AddsUpFilesAndShowsStatistics) {
  const Words model = {"-m", kPawQ4, "-t", "2", "-f", kText, "-c", "128", "--no-ppl"};
  const auto measure = [&](const Words& more, const std::string& name) {
    Words words = model;
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(), {"-o", path(name)});
    EXPECT_EQ(imatrix(words).status, 0);
    return gguf::read_imatrix(path(name));
  };
  const gguf::ImatrixFile all = measure({"--chunks", "5"}, "all.gguf");
  measure({"--chunks", "2"}, "a.gguf");
  measure({"--chunk", "2", "--chunks", "3"}, "b.gguf");
  const Outcome merged =
      imatrix({"--in-file", path("a.gguf"), "--in-file", path("b.gguf"), "-o", path("sum.gguf")});
  ASSERT_EQ(merged.status, 0) << merged.err;
  EXPECT_THAT(merged.out, HasSubstr("70 weights, 5 chunks of 128 tokens"));
  const gguf::ImatrixFile sum = gguf::read_imatrix(path("sum.gguf"));
  // A text on top of an earlier file gives the same.
  const gguf::ImatrixFile grown =
      measure({"--chunk", "2", "--chunks", "3", "--in-file", path("a.gguf")}, "grown.gguf");
  for (const auto& [name, entry] : all.entries) {
    EXPECT_EQ(sum.entries.at(name).count, entry.count) << name;
    EXPECT_EQ(sum.entries.at(name).sums, grown.entries.at(name).sums) << name;
    EXPECT_NEAR(sum.entries.at(name).sums[0], entry.sums[0], 1e-5F * entry.sums[0]) << name;
  }
  const Outcome statistics = imatrix({"--in-file", path("sum.gguf"), "--show-statistics"});
  EXPECT_EQ(statistics.status, 0) << statistics.err;
  EXPECT_THAT(statistics.out, HasSubstr("nextn.eh_proj"));
  EXPECT_THAT(statistics.out, Not(HasSubstr("\x1B")));
  const Outcome json = imatrix({"--in-file", path("sum.gguf"), "--show-statistics", "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out).size(), 70U);
  EXPECT_EQ(files().size(), 5U);  // looking writes nothing
}

TEST_F(ImatrixCommand, InterruptedItKeepsWhatWasMeasuredAndSaysSo) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += eval::bundled_text();
  const std::string out = path("long.gguf");
  RunningProgram program(
      {"imatrix", "-m", kPaw, "-t", "2", "-f", "-", "-c", "128", "-o", out, "-ofreq", "2"},
      {.input = text});
  for (int i = 0; i < 600 && !std::filesystem::exists(out); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ASSERT_TRUE(std::filesystem::exists(out));
  program.send(SIGINT);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  const std::uint32_t n_chunks = gguf::read_imatrix(out).chunk_count;
  EXPECT_GE(n_chunks, 1U);
  EXPECT_THAT(outcome.err, HasSubstr("stopped after " + std::to_string(n_chunks) + " of "));
  EXPECT_EQ(files(), std::vector<std::string>{"long.gguf"});
}

// ---- eval ----

TEST_F(EvalCommand, PerplexityHasABundledText) {
  const Outcome bundled = eval("perplexity", {"-m", kPawQ4, "-t", "2", "-c", "128", "--json"});
  ASSERT_EQ(bundled.status, 0) << bundled.err;
  const Outcome named =
      eval("perplexity", {"-m", kPawQ4, "-t", "2", "-c", "128", "--json", "-f", kText});
  auto a = nlohmann::json::parse(bundled.out);
  const auto b = nlohmann::json::parse(named.out);
  EXPECT_EQ(a.at("bundled_text"), true);
  a.erase("bundled_text");
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.at("context"), 128);
}

TEST_F(EvalCommand, AcceptancePrintsATableAndJson) {
  const std::string prompts = path("mine.json");
  std::ofstream(prompts) << R"({"categories": [{"name": "identity", "prompts": ["Who are you?"]},
      {"name": "count", "prompts": ["Count from 3 to 9.", [{"role": "user", "content": "Count from 1 to 5."}]]}]})";
  const Words words = {"-m",     kPaw, "-t",     "2", "--prompts",          prompts, "-n", "40",
                       "--temp", "0",  "--temp", "1", "--spec-draft-n-max", "2"};
  const Outcome table = eval("acceptance", words);
  ASSERT_EQ(table.status, 0) << table.err;
  for (const char* part : {"greedy", "temperature 1", "identity", "count", "all", "n=2"}) {
    EXPECT_THAT(table.out, HasSubstr(part));
  }
  EXPECT_THAT(table.out, Not(HasSubstr("n=3")));
  EXPECT_THAT(table.out, Not(HasSubstr("\x1B")));
  Words json_words = words;
  json_words.emplace_back("--json");
  const Outcome outcome = eval("acceptance", json_words);
  const auto json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json.at("runs").size(), 2U);
  EXPECT_EQ(json.at("bundled_prompts"), false);
  for (const auto& run : json.at("runs")) {
    EXPECT_EQ(run.at("categories").size(), 2U);
    EXPECT_EQ(run.at("categories")[1].at("prompts"), 2);
    const auto& deepest = run.at("all").at("by_depth").at(1);
    EXPECT_EQ(deepest.at("depth"), 2);
    EXPECT_GT(deepest.at("drafted"), 0);
    EXPECT_NEAR(deepest.at("acceptance").get<double>(),
                deepest.at("accepted").get<double>() / deepest.at("drafted").get<double>(), 1e-12);
  }
}

TEST_F(EvalCommand, KldSavesAndCompares) {
  const std::string logits = path("base.logits");
  const Outcome saved =
      eval("kld", {"-m", kPaw, "-t", "2", "-f", kText, "-c", "128", "--save-logits", logits});
  ASSERT_EQ(saved.status, 0) << saved.err;
  EXPECT_THAT(saved.out, HasSubstr("tokens scored in"));
  const auto compare = [&](const std::string& model) {
    const Outcome outcome =
        eval("kld", {"-m", model, "-t", "2", "--base-logits", logits, "--json"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out);
  };
  const auto same = compare(kPaw);
  EXPECT_EQ(same.at("kld").at("mean"), 0.0);
  EXPECT_EQ(same.at("same_top").at("value"), 1.0);
  const auto quantized = compare(kPawQ4);
  EXPECT_GT(quantized.at("kld").at("mean"), 0.0);
  EXPECT_GT(quantized.at("kld").at("p99"), quantized.at("kld").at("median"));
  const Outcome text = eval("kld", {"-m", kPawQ4, "-t", "2", "--base-logits", logits});
  for (const char* part : {"mean KLD", "99.9 %", "same top", "RMS delta p", "ratio"}) {
    EXPECT_THAT(text.out, HasSubstr(part));
  }
}

TEST_F(EvalCommand, InterruptedKldLeavesNoFile) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += eval::bundled_text();
  RunningProgram program({"eval", "kld", "-m", kPaw, "-t", "2", "-f", "-", "-c", "128",
                          "--save-logits", path("base.logits")},
                         {.input = text});
  std::this_thread::sleep_for(std::chrono::seconds(2));  // loaded and at work on any machine
  program.send(SIGINT);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_THAT(files(), IsEmpty());
}

// ---- Refusals ----

struct Refusal {
  const char* name;
  Words words;
  int status;
  const char* text;
};

class EvaluationRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(EvaluationRefuses, InOneSentence) {
  const Outcome outcome = run_program(GetParam().words, "a short text");
  EXPECT_EQ(outcome.status, GetParam().status) << outcome.err;
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().text));
  if (GetParam().status == 1) {
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

const std::string kReadme = FORETOKEN_SOURCE_DIR "/README.md";

INSTANTIATE_TEST_SUITE_P(
    BadInput, EvaluationRefuses,
    testing::Values(
        Refusal{"ImatrixOfNothing", {"imatrix"}, 1, "nothing to do"},
        Refusal{"ImatrixWithoutAModel", {"imatrix", "-f", "-"}, 1, "name it with -m"},
        Refusal{"ImatrixOfAShortText",
                {"imatrix", "-m", kPawQ4, "-f", "-", "-o", "/nonexistent/a.gguf"},
                1,
                "0 whole chunks of 512"},
        Refusal{"ImatrixOfAMissingText",
                {"imatrix", "-m", kPawQ4, "-f", "/nonexistent/text"},
                1,
                "/nonexistent/text"},
        Refusal{
            "ImatrixOfAFileThatIsNoModel", {"imatrix", "-m", kReadme, "-f", "-"}, 1, "README.md"},
        Refusal{"AnImatrixThatIsNone", {"imatrix", "--in-file", kReadme}, 1, "README.md"},
        Refusal{"AModelAsAnImatrix", {"imatrix", "--in-file", kPawQ4}, 1, "tiny-paw-Q4_K_M.gguf"},
        Refusal{"AnUnknownImatrixFormat",
                {"imatrix", "-m", kPawQ4, "-f", "-", "--output-format", "csv"},
                1,
                "use gguf or dat"},
        Refusal{"StatisticsOfNothing",
                {"imatrix", "-m", kPawQ4, "-f", "-", "--show-statistics"},
                1,
                "--in-file"},
        Refusal{"AnUnwritableImatrix",
                {"imatrix", "-m", kPawQ4, "-f", kText, "-c", "64", "--chunks", "1", "-o",
                 "/nonexistent/a.gguf"},
                1,
                "/nonexistent/a.gguf"},
        Refusal{"KldWithoutASide", {"eval", "kld", "-m", kPawQ4}, 1, "--save-logits"},
        Refusal{"KldWithBothSides",
                {"eval", "kld", "-m", kPawQ4, "--save-logits", "a", "--base-logits", "b"},
                1,
                "--save-logits"},
        Refusal{"KldAgainstAMissingFile",
                {"eval", "kld", "-m", kPawQ4, "--base-logits", "/nonexistent.logits"},
                1,
                "/nonexistent.logits"},
        Refusal{"KldAgainstAModel",
                {"eval", "kld", "-m", kPawQ4, "--base-logits", kPaw},
                1,
                "not a file of logits"},
        Refusal{"KldWithATextOfItsOwn",
                {"eval", "kld", "-m", kPawQ4, "--base-logits", kPaw, "-f", "-"},
                1,
                "leave out -f and -c"},
        Refusal{"AcceptanceOfPromptsThatAreNone",
                {"eval", "acceptance", "-m", kPawQ4, "--prompts", kReadme},
                1,
                "not valid JSON"},
        Refusal{"AcceptanceTooDeep",
                {"eval", "acceptance", "-m", kPawQ4, "--spec-draft-n-max", "9"},
                2,
                "--spec-draft-n-max"},
        Refusal{"AcceptanceInASmallContext",
                {"eval", "acceptance", "-m", kPawQ4, "-c", "4"},
                1,
                "do not fit"},
        Refusal{"PerplexityOfHardlyAText",
                {"eval", "perplexity", "-m", kPawQ4, "-f", "/dev/null"},
                1,
                "at least two"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(EvaluationHelp, TeachesWithExamples) {
  for (const Words& words : {Words{"imatrix"}, Words{"eval", "acceptance"}, Words{"eval", "kld"},
                             Words{"eval", "perplexity"}}) {
    Words with_help = words;
    with_help.emplace_back("--help");
    const Outcome outcome = run_program(with_help);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_THAT(outcome.out, HasSubstr("--model"));
  }
  EXPECT_THAT(run_program({"imatrix", "--help"}).out, HasSubstr("--show-statistics"));
}

}  // namespace
}  // namespace foretoken::tests
