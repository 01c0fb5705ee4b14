// The shipped checkpoints through the program, every way that ends in a GGUF file: all ways give
// the same bytes, those of the shipped file and of llama.cpp's converter, and the head is of use.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "gguf/file.h"
#include "tiny_model.h"
#include "toolchain.h"

namespace foretoken::tests {
namespace {

using ::testing::HasSubstr;

const std::string kBase = testing::tiny_model("base");
const std::string kPaw = testing::tiny_model("paw");

void run(const Words& words) {
  const Outcome outcome = run_program(words);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
}

void convert_as(const std::string& name, const std::string& folder, const std::string& out,
                const Words& more = {}) {
  Words words = convert_words(folder, out);
  words.insert(words.end(), {"--model-name", name});
  words.insert(words.end(), more.begin(), more.end());
  run(words);
}

TEST(GraftShipped, GraftedAndConvertedEqualsLlamaCpp) {
  const std::string expected = testing::llama_made_file("graft-BF16.gguf");
  if (expected.empty()) GTEST_SKIP() << "llama.cpp's files of the tiny model are not here";
  const ScratchFolder scratch;
  // Made from the same weights, with another chat template than the shipped ones.
  const std::string folder = testing::source_path("../shared/tiny-model/");
  run(graft_words(folder + "base", folder + "finetune", scratch / "grafted"));
  convert_as("Graft", scratch / "grafted", scratch / "grafted.gguf");
  EXPECT_TRUE(read_file(scratch / "grafted.gguf") == read_file(expected));
}

TEST(GraftShipped, EveryWayGivesTheShippedFile) {
  const ScratchFolder scratch;
  const std::string expected = read_file(testing::tiny_model("tiny-paw-BF16.gguf"));
  ASSERT_GT(expected.size(), 1'000'000u);
  run(graft_words(kBase, kPaw, scratch / "grafted"));
  convert_as("tiny-paw", scratch / "grafted", scratch / "grafted.gguf");
  EXPECT_TRUE(read_file(scratch / "grafted.gguf") == expected);

  convert_as("tiny-paw", kPaw, scratch / "trunk.gguf", {"--no-mtp"});
  const std::string base_gguf = testing::tiny_model("tiny-base-BF16.gguf");
  run({"graft", "--base", kBase, "--extract", "--out", scratch / "head.safetensors"});
  run({"graft", "--base", base_gguf, "--extract", "--out", scratch / "head.gguf"});
  for (const std::string& head :
       {kBase, base_gguf, scratch / "head.safetensors", scratch / "head.gguf"}) {
    run(graft_words(head, scratch / "trunk.gguf", scratch / "out.gguf"));
    EXPECT_TRUE(read_file(scratch / "out.gguf") == expected) << head;
  }
  run(graft_words(scratch / "head.safetensors", kPaw, scratch / "again"));
  EXPECT_TRUE(read_folder(scratch / "again") == read_folder(scratch / "grafted"));
}

/// How many drafted tokens the program says it kept.
int accepted_drafts(const std::string& err) {
  const std::size_t place = err.find("accepted ");
  int accepted = 0;
  if (place != std::string::npos) std::sscanf(err.c_str() + place, "accepted %d", &accepted);
  return accepted;
}

TEST(GraftShipped, AQuantizedFineTuneKeepsItsBytesAndDrafts) {
  const ScratchFolder scratch;
  convert_as("tiny-paw", kPaw, scratch / "trunk-BF16.gguf", {"--no-mtp"});
  run(quantize_words(scratch / "trunk-BF16.gguf", scratch / "trunk.gguf", "Q4_K_M"));
  run(graft_words(kBase, scratch / "trunk.gguf", scratch / "out.gguf"));
  const gguf::File trunk = gguf::File::open(scratch / "trunk.gguf");
  const gguf::File out = gguf::File::open(scratch / "out.gguf");
  EXPECT_EQ(out.tensors().size(), trunk.tensors().size() + 15);
  for (const gguf::TensorInfo& tensor : trunk.tensors()) {
    const gguf::TensorInfo& kept = out.require_tensor(tensor.name);
    EXPECT_EQ(kept.type, tensor.type) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(out.data(kept), trunk.data(tensor))) << tensor.name;
  }
  const auto say = [&](const std::string& speculation) {
    return run_program({"run", "-m", scratch / "out.gguf", "-t", "2", "-p", "Hello, who are you?",
                        "-n", "48", "--temp", "0", "--spec-type", speculation, "--spec-draft-fixed",
                        "--spec-draft-n-max", "3"});
  };
  const Outcome plain = say("none");
  const Outcome drafted = say("draft-mtp");
  EXPECT_EQ(plain.status, 0) << plain.err;
  EXPECT_EQ(drafted.status, 0) << drafted.err;
  EXPECT_EQ(drafted.out, plain.out);
  EXPECT_GT(accepted_drafts(drafted.err), 0) << drafted.err;
  EXPECT_EQ(accepted_drafts(plain.err), 0) << plain.err;
}

TEST(GraftShipped, ARefusalNamesEverythingAndWritesNothing) {
  const ScratchFolder scratch;
  // A head alone as the fine-tune, and a base that has none.
  run({"graft", "--base", kBase, "--extract", "--out", scratch / "head.safetensors"});
  Words words = graft_words(kPaw, scratch / "head.safetensors", scratch / "out");
  words.emplace_back("--json");
  const Outcome outcome = run_program(words);
  EXPECT_EQ(outcome.status, 1);
  const auto plan = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(plan.at("allowed"), false);
  EXPECT_EQ(plan.at("written"), false);
  std::set<std::string> topics;
  for (const auto& finding : plan.at("findings")) {
    if (finding.at("severity") != "refusal") continue;
    topics.insert(finding.at("topic"));
    EXPECT_NE(finding.at("advice"), "") << finding;
  }
  EXPECT_THAT(topics, ::testing::IsSupersetOf({"head", "model", "replace"}));
  EXPECT_THAT(outcome.err, HasSubstr("nothing was written"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
}

}  // namespace
}  // namespace foretoken::tests
