#include "tokenizer/hf_tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/test_vocabulary.h"

namespace foretoken::tokenizer {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// A tokenizer.json over the 256 bytes with one merge and two added tokens.
json valid_document() {
  json vocab;
  for (int byte = 0; byte < 256; ++byte)
    vocab[spell(std::string(1, static_cast<char>(byte)))] = byte;
  vocab["ab"] = 256;
  const auto added = [](int id, const char* content, bool special) {
    return json{{"id", id},        {"content", content},   {"special", special}, {"lstrip", false},
                {"rstrip", false}, {"single_word", false}, {"normalized", false}};
  };
  const json bytes_step = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const json split_step = {{"type", "Split"},
                           {"pattern", {{"Regex", pre_tokenizer_expression("qwen35")}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  return {{"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split_step, bytes_step}}}},
          {"decoder", bytes_step},
          {"post_processor", nullptr},
          {"added_tokens", {added(257, "<end>", true), added(258, "<think>", false)}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"a b"}}}}};
}

Vocabulary parse(const json& document, std::optional<std::string> config = {}) {
  return parse_hf_vocabulary(
      {"tokenizer.json", document.dump(), "tokenizer_config.json", std::move(config), {}});
}

template <class Expected>
std::string error_of(const json& document, std::optional<std::string> config = {}) {
  try {
    Tokenizer{parse(document, std::move(config))};
  } catch (const Expected& error) {
    return error.what();
  }
  return "no such error";
}

TEST(HfTokenizer, ReadsMergesAsStringsAndAsPairs) {
  json document = valid_document();
  EXPECT_EQ(Tokenizer(parse(document)).encode("ab<think>"), (std::vector<TokenId>{256, 258}));
  document["model"]["merges"] = json::array({json::array({"a", "b"})});
  EXPECT_EQ(Tokenizer(parse(document)).encode("ab<think>"), (std::vector<TokenId>{256, 258}));
}

TEST(HfTokenizer, TakesAddedTokensFromTheConfigToo) {
  const Tokenizer tokenizer(parse(valid_document(), R"({
    "added_tokens_decoder": {"257": {"content": "<end>", "special": true},
                             "261": {"content": "<tts>", "special": true}},
    "eos_token": {"content": "<end>"}, "chat_template": "{{ x }}"})"));
  EXPECT_EQ(tokenizer.find_special("<tts>"), 261);
  EXPECT_EQ(tokenizer.kind(261), TokenKind::Control);
  EXPECT_EQ(tokenizer.kind(259), TokenKind::Unused);  // a hole
  EXPECT_EQ(tokenizer.piece(260), "[PAD260]");
  EXPECT_TRUE(tokenizer.is_end_of_generation(257));
  EXPECT_EQ(tokenizer.chat_template(), "{{ x }}");
}

TEST(HfTokenizer, TheDefaultOfNamedTemplatesCounts) {
  const auto vocabulary = parse(valid_document(), R"({"chat_template": [
    {"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})");
  EXPECT_EQ(vocabulary.chat_template, "D");
}

TEST(HfTokenizer, NamesThatLookSpecialAreControlTokens) {
  json document = valid_document();
  document["added_tokens"][1]["content"] = "<|fim_pad|>";
  EXPECT_EQ(Tokenizer(parse(document)).kind(258), TokenKind::Control);
}

TEST(HfTokenizer, NormalisesOnlyWhenTheFileSaysSo) {
  json document = valid_document();
  const std::string decomposed = "e\u0301";
  EXPECT_EQ(Tokenizer(parse(document)).encode(decomposed).size(), 2u);
  document["normalizer"] = nullptr;
  EXPECT_EQ(Tokenizer(parse(document)).encode(decomposed).size(), 3u);
}

TEST(HfTokenizer, SettingsOutsideTheSubsetAreRefusedByName) {
  const auto expect = [](const char* pointer, json value, const char* path) {
    json document = valid_document();
    document[json::json_pointer(pointer)] = std::move(value);
    EXPECT_THAT(error_of<UnsupportedError>(document),
                AllOf(HasSubstr("tokenizer.json"), HasSubstr(path)))
        << pointer;
  };
  expect("/normalizer/type", "NFKC", "normalizer.type");
  expect("/model/type", "Unigram", "model.type");
  expect("/model/dropout", 0.1, "model.dropout");
  expect("/model/ignore_merges", true, "model.ignore_merges");
  expect("/model/byte_fallback", true, "model.byte_fallback");
  expect("/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix");
  expect("/post_processor", json{{"type", "TemplateProcessing"}}, "post_processor.type");
  expect("/decoder/type", "Metaspace", "decoder.type");
  expect("/pre_tokenizer/type", "Whitespace", "pre_tokenizer.type");
  expect("/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\w+", "pattern.Regex");
  expect("/pre_tokenizer/pretokenizers/0/behavior", "Removed", "behavior");
  expect("/pre_tokenizer/pretokenizers/1/use_regex", true, "use_regex");
  expect("/pre_tokenizer/pretokenizers/1/add_prefix_space", true, "add_prefix_space");
  expect("/added_tokens/0/lstrip", true, "added_tokens[0].lstrip");
}

TEST(HfTokenizer, MalformedEntriesAreRefusedByName) {
  const auto expect = [](const char* pointer, json value, const char* text) {
    json document = valid_document();
    document[json::json_pointer(pointer)] = std::move(value);
    EXPECT_THAT(error_of<FormatError>(document), HasSubstr(text)) << pointer;
  };
  expect("/model", 7, "model is 7; expected an object");
  expect("/model/vocab", json::array(), "model.vocab");
  expect("/model/vocab/ab", -1, "model.vocab.ab is -1");
  expect("/model/vocab/ab", 1e300, "model.vocab.ab");
  expect("/model/vocab/ab", 2147483647, "ids without a token");
  expect("/model/vocab/ab", 97, "belongs to both");
  expect("/model/merges", json::object(), "model.merges");
  expect("/model/merges/0", "ab", "model.merges[0]");
  expect("/model/merges/0", json::array({"a", "b", "c"}), "model.merges[0]");
  expect("/model/merges/0", "a c", "model.merges[0]");
  expect("/added_tokens/0/id", "257", "added_tokens[0].id");
  expect("/added_tokens/0/id", 97, "id 97 is '<end>' here");
  expect("/added_tokens/0/content", nullptr, "added_tokens[0].content");
  expect("/added_tokens/0/special", 1, "added_tokens[0].special");
}

TEST(HfTokenizer, MalformedConfigsAreRefusedByName) {
  const auto expect = [](const char* config, const char* text) {
    EXPECT_THAT(error_of<FormatError>(valid_document(), config),
                AllOf(HasSubstr("tokenizer_config.json"), HasSubstr(text)))
        << config;
  };
  expect("{", "not valid JSON");
  expect("[]", "expected a JSON object");
  expect(R"({"added_tokens_decoder": {"x": {"content": "y"}}})", "'x' is not a token id");
  expect(R"({"added_tokens_decoder": {"257": {"content": "y"}}})", "'<end>' elsewhere");
  expect(R"({"eos_token": "<nope>"})", "'<nope>'");
  expect(R"({"chat_template": 3})", "chat_template is 3");
}

TEST(HfTokenizer, DeepNestingIsNoProblem) {
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  EXPECT_THROW(parse_hf_vocabulary({"tokenizer.json", "{\"model\":" + deep + "}", "", {}, {}}),
               FormatError);
}

TEST(HfTokenizer, AMissingDirectoryIsAnIoError) {
  EXPECT_THROW(Tokenizer::from_directory("/nonexistent"), IoError);
}

TEST(HfTokenizer, TheTemplateFileGoesBeforeTheConfig) {
  const auto folder = std::filesystem::temp_directory_path() / "foretoken_hf_tokenizer_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "tokenizer.json") << valid_document().dump();
  std::ofstream(folder / "tokenizer_config.json") << R"({"chat_template": "config"})";
  EXPECT_EQ(Tokenizer::from_directory(folder.string()).chat_template(), "config");
  std::ofstream(folder / "chat_template.jinja") << "file";
  EXPECT_EQ(Tokenizer::from_directory(folder.string()).chat_template(), "file");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace foretoken::tokenizer
