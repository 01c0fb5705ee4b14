#include "convert/general_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "convert/front_matter.h"
#include "convert/test_checkpoint.h"
#include "gguf/file.h"

namespace foretoken::convert {
namespace {

using ::testing::ElementsAre;

constexpr const char* kCard = R"(---
license: apache-2.0
license_link: https://example.org/license  # a comment
tags:
- chat
- "qwen: 3.5"
language: [en, no, 'zh']
pipeline_tag: text-generation
base_model:
  - Qwen/Qwen3.5-9B-v1.5
  - https://huggingface.co/me/other-model
description: >
  Two lines
  in one.
model-index:
- name: x
  results:
    - task: {type: y}
---
# Title
license: not this
)";

TEST(FrontMatter, ReadsScalarsListsAndFoldedText) {
  const auto card = parse_front_matter(kCard);
  EXPECT_EQ(card["license"], "apache-2.0");
  EXPECT_EQ(card["license_link"], "https://example.org/license");
  EXPECT_EQ(card["tags"], nlohmann::ordered_json({"chat", "qwen: 3.5"}));
  EXPECT_EQ(card["language"], nlohmann::ordered_json({"en", "no", "zh"}));
  EXPECT_EQ(card["description"], "Two lines in one.\n");
}

TEST(FrontMatter, NothingWithoutRulers) {
  EXPECT_TRUE(parse_front_matter("license: mit\n").empty());
  // The second one may be forgotten.
  EXPECT_EQ(parse_front_matter("---\nlicense: mit\n")["license"], "mit");
  EXPECT_TRUE(parse_front_matter("").empty());
  EXPECT_EQ(parse_front_matter("---\r\nlicense: mit\r\n---\r\n")["license"], "mit");
}

TEST(FrontMatter, OddTextIsNoError) {
  for (const char* text :
       {"---\n- a\n- b\n---\n", "---\na: [b\n---\n", "---\na: 'b\n---\n", "---\n: x\n---\n",
        "---\na: \"\\\n---\n", "---\na: &x [*x]\n---\n", "---\na:\n- \n-\n---\n", "---\n\t:\n---\n",
        "---\na: |\n---\n", "---\na: [\"]\n---\n", "---\n\"a\": b\n'\n---\n"}) {
    EXPECT_NO_THROW(parse_front_matter(text)) << text;
  }
}

/// The keys as a file has them.
std::vector<std::string> written(const GeneralMetadata& metadata) {
  gguf::Writer writer;
  write_general_metadata(metadata, writer);
  const auto bytes = writer.to_bytes();
  const gguf::File file = gguf::File::from_memory(bytes, "memory");
  std::vector<std::string> out;
  for (const gguf::Entry& entry : file.metadata().entries()) {
    out.push_back(std::string(entry.key) + " " + entry.type_text() + " " + entry.to_text());
  }
  return out;
}

TEST(GeneralMetadata, CollectsCardNamesAndSamplingInTheConvertersOrder) {
  const TestFolder parent;
  const std::string folder = parent / "paw-9b-instruct";
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/README.md") << kCard;
  std::ofstream(folder + "/generation_config.json")
      << R"({"temperature": 1, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.05})";
  const GeneralMetadata metadata = collect_general_metadata({.folder = folder + "/",
                                                             .name_or_path = std::nullopt,
                                                             .override_file = std::nullopt,
                                                             .model_name = std::nullopt,
                                                             .n_params = 9'000'000'000U});
  EXPECT_THAT(
      written(metadata),
      ElementsAre(
          "general.sampling.top_k i32 20", "general.sampling.top_p f32 0.95",
          "general.sampling.temp f32 1", "general.sampling.penalty_repeat f32 1.05",
          "general.name string Paw 9b Instruct", "general.finetune string instruct",
          "general.basename string paw", "general.description string Two lines in one.\\n",
          "general.size_label string 9B", "general.license string apache-2.0",
          "general.license.link string https://example.org/license",
          "general.base_model.count u32 2", "general.base_model.0.name string Qwen3.5 9B v1.5",
          "general.base_model.0.version string v1.5",
          "general.base_model.0.organization string Qwen",
          "general.base_model.0.repo_url string https://huggingface.co/Qwen/Qwen3.5-9B-v1.5",
          "general.base_model.1.name string Other Model",
          "general.base_model.1.organization string Me",
          "general.base_model.1.repo_url string https://huggingface.co/me/other-model",
          "general.tags array of string [\"chat\", \"qwen: 3.5\", \"text-generation\"]",
          "general.languages array of string [\"en\", \"no\", \"zh\"]"));
}

TEST(GeneralMetadata, OverridesHaveTheLastWordButForTheName) {
  const TestFolder parent;
  const std::string folder = parent / "model";  // a made-up name may say anything
  std::filesystem::create_directory(folder);
  std::ofstream(parent / "meta.json")
      << R"({"general.author": "A", "general.name": "B", "general.sampling.temp": 0.5,
             "general.tags": ["t"]})";
  const GeneralMetadata metadata = collect_general_metadata({.folder = folder,
                                                             .name_or_path = "me/my-model",
                                                             .override_file = parent / "meta.json",
                                                             .model_name = "C",
                                                             .n_params = 0});
  EXPECT_THAT(written(metadata),
              ElementsAre("general.sampling.temp f32 0.5", "general.name string C",
                          "general.author string A", "general.organization string Me",
                          "general.tags array of string [\"t\"]"));
}

TEST(GeneralMetadata, RefusesValuesOfAnotherType) {
  const TestFolder folder;
  std::ofstream(folder / "generation_config.json") << R"({"top_k": "many"})";
  EXPECT_THROW(collect_general_metadata({.folder = folder.path(),
                                         .name_or_path = std::nullopt,
                                         .override_file = std::nullopt,
                                         .model_name = std::nullopt,
                                         .n_params = 0}),
               FormatError);
}

}  // namespace
}  // namespace foretoken::convert
