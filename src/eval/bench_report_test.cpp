#include "eval/bench_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"

namespace foretoken::eval {
namespace {

using testing::HasSubstr;

const BenchMachine kMachine = {"1.2.3", "A processor"};

BenchResult prompt_result() {
  BenchResult out;
  out.setup.model_path = "folder/model.gguf";
  out.setup.model_type = "qwen35 9B Q4_K_M";
  out.setup.size_bytes = 5'905'580'032;
  out.setup.n_parameters = 8'953'803'264;
  out.setup.backend = "CPU";
  out.setup.n_threads = 4;
  out.setup.n_batch = 2048;
  out.setup.n_ubatch = 512;
  out.setup.key_type = "f16";
  out.setup.value_type = "q8_0";
  out.test.n_prompt = 512;
  out.time = "2026-11-23T15:00:00Z";
  out.samples = {{512, 4.0}, {512, 8.0}};  // 128 and 64 tokens a second
  return out;
}

BenchResult draft_result() {
  BenchResult out = prompt_result();
  out.test = {.kind = BenchTest::Kind::Speculation, .n_gen = 128, .n_max = 3};
  out.drafts.rounds = 40;
  out.drafts.drafted = 100;
  out.drafts.accepted = 60;
  out.drafts.drafted_at = {40, 35, 25};
  out.drafts.accepted_at = {35, 25, 0};
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) out.push_back(line);
  return out;
}

std::string whole(const std::string& format, const std::vector<BenchResult>& results,
                  const BenchColumns& columns = {}) {
  const auto report = make_bench_report(format, kMachine, columns);
  std::string out = report->begin();
  for (const BenchResult& result : results) out += report->row(result);
  return out + report->end();
}

TEST(BenchTest, NamesTestsAsLlamaBenchDoes) {
  using Kind = BenchTest::Kind;
  EXPECT_EQ((BenchTest{.n_prompt = 512}).name(), "pp512");
  EXPECT_EQ((BenchTest{.n_gen = 128}).name(), "tg128");
  EXPECT_EQ((BenchTest{.n_prompt = 512, .n_gen = 128}).name(), "pp512+tg128");
  EXPECT_EQ((BenchTest{.n_gen = 128, .n_depth = 4096}).name(), "tg128 @ d4096");
  EXPECT_EQ((BenchTest{.kind = Kind::Verify, .n_prompt = 4, .n_depth = 8}).name(), "verify4 @ d8");
}

TEST(BenchTest, NamesSpeculationWithTemperatureKindAndHonesty) {
  BenchTest test{.kind = BenchTest::Kind::Speculation, .n_gen = 128, .temperature = 1.0F};
  EXPECT_EQ(test.name(), "spec128 t1");
  test.category = "code";
  test.synthetic = true;
  EXPECT_EQ(test.name(), "spec128 t1 synthetic code");
}

TEST(BenchReport, MarkdownIsATableWithMeanAndDeviation) {
  const std::string text = whole("md", {prompt_result()});
  const std::vector<std::string> lines = lines_of(text);
  ASSERT_GE(lines.size(), 3U);
  EXPECT_EQ(lines[0],
            "| model                            |       size |     params | backend    | threads |"
            "            test |                  t/s |");
  EXPECT_EQ(lines[1],
            "| -------------------------------- | ---------: | ---------: | ---------- | ------: |"
            " --------------: | -------------------: |");
  // Mean 96, deviation sqrt(2 * 32^2 / 1) = 45.25.
  EXPECT_EQ(lines[2],
            "| qwen35 9B Q4_K_M                 |   5.50 GiB |     8.95 B | CPU        |       4 |"
            "           pp512 |        96.00 \u00B1 45.25 |");
  EXPECT_THAT(text, HasSubstr("build: 1.2.3\n"));
}

TEST(BenchReport, MarkdownShowsColumnsThatWereAskedFor) {
  const BenchColumns columns{.value_type = true, .drafts = true};
  const std::vector<std::string> lines =
      lines_of(whole("md", {prompt_result(), draft_result()}, columns));
  EXPECT_THAT(lines[0], HasSubstr("| type_v | n_max |   acc |   len |"));
  EXPECT_THAT(lines[2], HasSubstr("|   q8_0 |       |       |       |"));
  EXPECT_THAT(lines[3], HasSubstr("|   q8_0 |     3 | 0.600 |  2.50 |"));
}

TEST(BenchReport, MarkdownShowsThePassTimeOfVerifyRowsOnly) {
  BenchResult verify = prompt_result();
  verify.test = {.kind = BenchTest::Kind::Verify, .n_prompt = 4};
  verify.samples = {{32, 0.4}};  // 8 passes of 50 ms
  const std::vector<std::string> lines =
      lines_of(whole("md", {verify, prompt_result()}, {.latency = true}));
  EXPECT_THAT(lines[2], HasSubstr("|         verify4 |   50.000 |"));
  EXPECT_THAT(lines[3], HasSubstr("|           pp512 |          |"));
}

TEST(BenchReport, MarkdownKeepsForeignTextInsideItsCell) {
  BenchResult result = prompt_result();
  result.setup.model_type = "a|b\nc\x1B";
  EXPECT_THAT(whole("md", {result}), HasSubstr("| a\\|b\\nc\\x1b "));
}

TEST(BenchReport, JsonParsesAndHoldsEverySample) {
  const auto json = nlohmann::json::parse(whole("json", {prompt_result(), draft_result()}));
  ASSERT_EQ(json.size(), 2U);
  EXPECT_EQ(json[0]["n_prompt"], 512);
  EXPECT_EQ(json[0]["avg_ns"], 6'000'000'000);
  EXPECT_DOUBLE_EQ(json[0]["avg_ts"].get<double>(), 96.0);
  EXPECT_EQ(json[0]["samples_ns"], nlohmann::json({4'000'000'000, 8'000'000'000}));
  EXPECT_EQ(json[0]["samples_ts"], nlohmann::json({128.0, 64.0}));
  EXPECT_EQ(json[0]["model_filename"], "folder/model.gguf");
  EXPECT_EQ(json[1]["spec_n_max"], 3);
  EXPECT_EQ(json[1]["spec_accepted_at"], nlohmann::json({35, 25, 0}));
  EXPECT_DOUBLE_EQ(json[1]["spec_mean_length"].get<double>(), 2.5);
}

TEST(BenchReport, JsonWithoutResultsIsAnEmptyArray) {
  EXPECT_EQ(nlohmann::json::parse(whole("json", {})), nlohmann::json::array());
}

TEST(BenchReport, JsonSurvivesAPathThatIsNotText) {
  BenchResult result = prompt_result();
  result.setup.model_path = "a\xFF\"b";
  EXPECT_EQ(nlohmann::json::parse(whole("json", {result}))[0]["model_filename"], "a\uFFFD\"b");
}

TEST(BenchReport, JsonLinesAreOneObjectEach) {
  const std::vector<std::string> lines =
      lines_of(whole("jsonl", {prompt_result(), draft_result()}));
  ASSERT_EQ(lines.size(), 2U);
  for (const std::string& line : lines) EXPECT_TRUE(nlohmann::json::parse(line).is_object());
}

TEST(BenchReport, CsvHasOneHeadAndQuotedValues) {
  BenchResult result = prompt_result();
  result.setup.model_path = "a \"b\",c";
  const std::vector<std::string> lines = lines_of(whole("csv", {result, result}));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[0].starts_with("build_commit,cpu_info,backends,")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("\"1.2.3\",\"A processor\",\"CPU\",")) << lines[1];
  EXPECT_THAT(lines[1], HasSubstr(",\"a \"\"b\"\",c\","));
  EXPECT_EQ(lines[1], lines[2]);
}

TEST(BenchReport, RefusesUnknownFormatsInWords) {
  EXPECT_THROW(make_bench_report("sql", kMachine, {}), RequestError);
  EXPECT_THROW(make_bench_report("xml", kMachine, {}), RequestError);
}

}  // namespace
}  // namespace foretoken::eval
