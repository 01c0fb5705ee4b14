// A model without an MTP head drafts with one from a file of its own (-md), and says the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/generate.h"
#include "engine/session.h"
#include "toolchain.h"

namespace foretoken::tests {
namespace {

using testing::HasSubstr;

const std::string kTiny = FORETOKEN_SOURCE_DIR "/models/tiny/";

/// The fine-tune without a head, and the base's head alone.
struct Files {
  ScratchFolder folder;
  std::string model = folder / "model.gguf";
  std::string head = folder / "head.gguf";

  Files() {
    convert({"convert", kTiny + "base", "--outfile", model, "--outtype", "bf16", "--no-mtp"});
    convert({"convert", kTiny + "base", "--outfile", head, "--outtype", "bf16", "--mtp"});
  }

 private:
  static void convert(const Words& words) {
    const Outcome outcome = run_program(words);
    if (outcome.status != 0) throw std::runtime_error(outcome.err);
  }
};

struct Told {
  std::vector<TokenId> tokens;
  engine::GenerateStats stats;
};

Told tell(const std::string& model, const std::string& head) {
  engine::EngineOptions options;
  options.model_path = model;
  options.head_path = head;
  options.n_threads = 2;
  engine::Engine engine(options);
  engine::SessionOptions small;
  small.n_context = 512;
  engine::Session session(engine, small);
  sampling::SamplingParams greedy;
  greedy.temperature = 0.0F;
  engine::SpeculationOptions speculation;
  speculation.limits.n_max = 3;
  speculation.adaptive = false;
  engine::Generator generator(session, greedy, speculation);
  session.prefill(engine.tokenizer().encode(
      "<|im_start|>user\nCount from 3 to 12.<|im_end|>\n<|im_start|>assistant\n<think>\n"));
  generator.observe_prompt();
  const engine::GenerateResult result = generator.generate({.max_tokens = 40, .ignore_end = false});
  return {result.tokens, result.stats};
}

TEST(HeadFile, DraftsForAModelThatHasNone) {
  const Files files;
  const Told alone = tell(files.model, "");
  const Told with_head = tell(files.model, files.head);
  const Told built_in = tell(kTiny + "tiny-base-BF16.gguf", "");
  EXPECT_EQ(alone.stats.drafted, 0);
  EXPECT_EQ(with_head.tokens, alone.tokens);
  EXPECT_EQ(built_in.tokens, alone.tokens);
  EXPECT_GT(with_head.stats.drafted, 0);
  EXPECT_EQ(with_head.stats.drafted, built_in.stats.drafted);
  EXPECT_EQ(with_head.stats.accepted, built_in.stats.accepted);
}

TEST(HeadFile, OneWithoutAHeadIsRefused) {
  const Files files;
  try {
    tell(files.model, files.model);
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("nextn.eh_proj.weight"));
  }
}

TEST(HeadFile, OneOfAnotherShapeIsRefused) {
  const Files files;
  const std::string other = files.folder / "other.gguf";
  const Outcome made =
      run_program({"quantize", "--override-kv", "qwen35.feed_forward_length=int:1024", files.head,
                   other, "COPY"});
  ASSERT_EQ(made.status, 0) << made.err;
  try {
    tell(files.model, other);
    FAIL();
  } catch (const UnsupportedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("for another model"));
    EXPECT_THAT(error.what(), HasSubstr("1024"));
  }
}

}  // namespace
}  // namespace foretoken::tests
