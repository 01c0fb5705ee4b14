// The way of a fine-tune that lost its head, through the program: graft, convert, quantize,
// inspect, run; and the other orders of the same steps, which must end in the same bytes.
#include "toolchain.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "gguf/file.h"

namespace foretoken::tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// Runs a command that has to succeed.
void require(const Words& words) {
  const Outcome outcome = run_program(words);
  ASSERT_EQ(outcome.status, 0) << fmt::format("{}\n{}", fmt::join(words, " "), outcome.err);
}

/// What each step makes from the same checkpoints, once for all tests.
class Toolchain : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    made_ = new TinyCheckpoints;
    require(graft_words(made_->base, made_->finetune, path("grafted")));
    require(convert_words(path("grafted"), path("bf16.gguf")));
    require(quantize_words(path("bf16.gguf"), path("q4.gguf"), "Q4_K_M"));
  }
  static void TearDownTestSuite() {
    delete made_;
    made_ = nullptr;
  }
  static std::string path(const std::string& name) { return made_->folder / name; }
  static const TinyCheckpoints& made() { return *made_; }

 private:
  static TinyCheckpoints* made_;
};
TinyCheckpoints* Toolchain::made_ = nullptr;

json inspect(const std::string& path) {
  const Outcome outcome = run_program({"inspect", path, "--json", "--check"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return json::parse(outcome.out, nullptr, false);
}

std::string greedy_text(const std::string& path, const Words& more = {}) {
  Words words = {"eval", "generate", "-m", path,       "-t",        "2",           "-n",
                 "24",   "--temp",   "0",  "--tokens", "1,2,3,4,5", "--ignore-eos"};
  words.insert(words.end(), more.begin(), more.end());
  const Outcome outcome = run_program(words);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return outcome.out;
}

/// Checks that both files hold the same tensors with the same bytes, in any order.
void expect_same_tensors(const std::string& path_a, const std::string& path_b) {
  const gguf::File a = gguf::File::open(path_a);
  const gguf::File b = gguf::File::open(path_b);
  EXPECT_EQ(a.tensors().size(), b.tensors().size());
  for (const gguf::TensorInfo& tensor : a.tensors()) {
    const gguf::TensorInfo* other = b.find_tensor(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_EQ(tensor.type, other->type) << tensor.name;
    EXPECT_EQ(tensor.shape, other->shape) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(a.data(tensor), b.data(*other))) << tensor.name;
  }
}

TEST_F(Toolchain, EachFileIsACompleteModelWithItsHead) {
  for (const char* name : {"bf16.gguf", "q4.gguf"}) {
    const json seen = inspect(path(name));
    EXPECT_EQ(seen["kind"], "Qwen3.5 text model with MTP head") << name;
    EXPECT_EQ(seen["mtp"]["present"], 15) << name;
    EXPECT_EQ(seen["problem"], nullptr) << name;
    EXPECT_EQ(seen["check"]["ok"], true) << name;
  }
  EXPECT_EQ(inspect(path("bf16.gguf"))["file_type"], "BF16");
  EXPECT_EQ(inspect(path("q4.gguf"))["file_type"], "Q4_K_M");
}

TEST_F(Toolchain, TheResultAnswers) {
  for (const char* name : {"bf16.gguf", "q4.gguf"}) {
    const Outcome outcome = run_program({"run", "-m", path(name), "-t", "2", "-p", "Hi", "-n", "8",
                                         "--temp", "0", "--show-thinking", "--ignore-eos"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, Not(IsEmpty())) << name;
  }
}

TEST_F(Toolchain, TheHeadChangesNoText) {
  const std::string with_drafts = greedy_text(path("bf16.gguf"), {"--spec-type", "draft-mtp"});
  EXPECT_THAT(with_drafts, Not(IsEmpty()));
  EXPECT_EQ(with_drafts, greedy_text(path("bf16.gguf"), {"--spec-type", "none"}));
}

TEST_F(Toolchain, ConvertingWithoutAHeadLeavesOnlyTheHeadOut) {
  require({"convert", made().finetune, "--outfile", path("bare.gguf"), "--outtype", "bf16",
           "--no-mtp"});
  const gguf::File bare = gguf::File::open(path("bare.gguf"));
  const gguf::File whole = gguf::File::open(path("bf16.gguf"));
  EXPECT_EQ(bare.tensors().size() + 15, whole.tensors().size());
  for (const gguf::TensorInfo& tensor : bare.tensors()) {
    const gguf::TensorInfo* other = whole.find_tensor(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(bare.data(tensor), whole.data(*other))) << tensor.name;
  }
  EXPECT_EQ(greedy_text(path("bare.gguf")), greedy_text(path("bf16.gguf")));
}

TEST_F(Toolchain, GraftingAfterConvertingGivesTheSameTensors) {
  require({"convert", made().finetune, "--outfile", path("first.gguf"), "--outtype", "bf16",
           "--no-mtp"});
  require(convert_words(made().base, path("base.gguf")));
  require(graft_words(path("base.gguf"), path("first.gguf"), path("joined.gguf")));
  expect_same_tensors(path("joined.gguf"), path("bf16.gguf"));
  // The head of the checkpoint, without converting it first.
  require(graft_words(made().base, path("first.gguf"), path("mixed.gguf")));
  expect_same_tensors(path("mixed.gguf"), path("bf16.gguf"));
}

TEST_F(Toolchain, ConvertingToQ8EqualsConvertingThenQuantizing) {
  require(convert_words(path("grafted"), path("direct.gguf"), "q8_0"));
  require(quantize_words(path("bf16.gguf"), path("in_steps.gguf"), "Q8_0"));
  expect_same_tensors(path("direct.gguf"), path("in_steps.gguf"));
}

TEST_F(Toolchain, TheSameCommandMakesTheSameBytesWhateverTheThreads) {
  for (const char* threads : {"1", "3"}) {
    require({"quantize", path("bf16.gguf"), path("again.gguf"), "Q4_K_M", threads});
    EXPECT_TRUE(read_file(path("again.gguf")) == read_file(path("q4.gguf"))) << threads;
  }
}

TEST_F(Toolchain, AFineTuneWithoutItsHeadIsNotConvertedAsIfItHadOne) {
  const Outcome outcome = run_program(convert_words(made().finetune, path("liar.gguf")));
  // Either it is refused with what to do, or the file does not announce a head.
  if (outcome.status == 0) {
    EXPECT_EQ(inspect(path("liar.gguf"))["mtp"]["announced_layers"], 0);
  } else {
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("--no-mtp"));
    EXPECT_FALSE(fs::exists(path("liar.gguf")));
  }
}

}  // namespace
}  // namespace foretoken::tests
