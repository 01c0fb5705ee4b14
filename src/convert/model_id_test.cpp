// Expected values come from gguf-py of llama.cpp de3ff815.
#include "convert/model_id.h"

#include <gtest/gtest.h>

namespace foretoken::convert {
namespace {

constexpr auto kNone = std::nullopt;

struct Case {
  const char* id;
  std::uint64_t n_params;
  ModelId expected;
};

TEST(ModelId, TakesNamesApartAsTheConverterDoes) {
  const Case cases[] = {
      {"Qwen/Qwen3.5-9B", 9'000'000'000U, {"Qwen3.5-9B", "Qwen", "Qwen3.5", kNone, kNone, "9B"}},
      {"Qwen3.5-9B-Instruct-v2",
       9'400'000'000U,
       {"Qwen3.5-9B-Instruct-v2", kNone, "Qwen3.5", "Instruct", "v2", "9B"}},
      {"me/paw-qwen3.5-4b-chat-32k",
       4'300'000'000U,
       {"paw-qwen3.5-4b-chat-32k", "me", "paw-qwen3.5", "chat-32k", kNone, "4B"}},
      {"bloom-7b1-base", 0U, {"bloom-7b1-base", kNone, "bloom", "base", kNone, "7.1B"}},
      {"./folder", 0U, {"folder", kNone, kNone, kNone, kNone, kNone}},
      {"My Model", 5U, {"My Model", kNone, kNone, kNone, kNone, kNone}},
      {"x-small-1.5B-small-1.5b",
       1'500'000'000U,
       {"x-small-1.5B-small-1.5b", kNone, "x-small", "small", kNone, "1.5B"}},
      {"Qwen3-30B-A3B-2507",
       30'000'000'000U,
       {"Qwen3-30B-A3B-2507", kNone, "Qwen3", kNone, "2507", "30B-A3B"}},
      {"a--b-fp16-Q4_K_M-iter500",
       0U,
       {"a--b-fp16-Q4_K_M-iter500", kNone, "a-b", kNone, "iter500", kNone}},
      {"9B-model", 0U, {"9B-model", kNone, kNone, "9B-model", kNone, kNone}},
      {"Llama-v3.1-8B-r1-distill",
       8'000'000'000U,
       {"Llama-v3.1-8B-r1-distill", kNone, "Llama-v3.1", "r1-distill", kNone, "8B"}},
  };
  for (const Case& test : cases) {
    const ModelId id = parse_model_id(test.id, test.n_params);
    EXPECT_EQ(id.name, test.expected.name) << test.id;
    EXPECT_EQ(id.organization, test.expected.organization) << test.id;
    EXPECT_EQ(id.basename, test.expected.basename) << test.id;
    EXPECT_EQ(id.finetune, test.expected.finetune) << test.id;
    EXPECT_EQ(id.version, test.expected.version) << test.id;
    EXPECT_EQ(id.size_label, test.expected.size_label) << test.id;
  }
}

TEST(ModelId, TakesOddNames) {
  for (const char* id : {"", "-", "/", "a/", "/b", "---", "\xFF-\xFE"}) {
    EXPECT_NO_THROW(parse_model_id(id, 1)) << id;
  }
  // The library's matcher recurses; a long part must not reach it.
  EXPECT_FALSE(parse_model_id("a-" + std::string(1 << 20, '1'), 1).version);
}

TEST(ModelId, WordsGetCapitals) {
  EXPECT_EQ(id_to_title("my-model-v2"), "My Model v2");
  EXPECT_EQ(id_to_title("paw 3b-instruct"), "Paw 3b Instruct");
  EXPECT_EQ(id_to_title("LLaMA-7b"), "LLaMA 7b");
  EXPECT_EQ(id_to_title("a1b-x2y"), "A1B X2Y");
  EXPECT_EQ(id_to_title("v1.2 vx"), "v1.2 Vx");
  EXPECT_EQ(id_to_title("  it's-ok "), "It'S Ok");
}

TEST(ModelId, SizesHaveTwoDigits) {
  EXPECT_EQ(size_label(99), "0.10K");
  EXPECT_EQ(size_label(999), "1.0K");
  EXPECT_EQ(size_label(889'344), "889K");
  EXPECT_EQ(size_label(1'000'000), "1000K");
  EXPECT_EQ(size_label(7'125'000), "7.1M");
  EXPECT_EQ(size_label(999'999'999), "1000M");
  EXPECT_EQ(size_label(9'196'000'000), "9.2B");
  EXPECT_EQ(size_label(26'895'998'464), "27B");
}

TEST(ModelId, FileNamesFollowTheConvention) {
  EXPECT_EQ(default_file_name({.name = "My Model",
                               .basename = kNone,
                               .size_label = "9B",
                               .finetune = kNone,
                               .version = kNone,
                               .encoding = "BF16"}),
            "My-Model-9B-BF16");
  EXPECT_EQ(default_file_name({.name = "x",
                               .basename = "Base/Name",
                               .size_label = kNone,
                               .finetune = "Fine Tune",
                               .version = "v1",
                               .encoding = kNone}),
            "Base-Name-Fine-Tune-v1");
}

}  // namespace
}  // namespace foretoken::convert
