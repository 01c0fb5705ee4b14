#include "convert/hf_tokenizer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "convert/test_checkpoint.h"
#include "gguf/file.h"

namespace foretoken::convert {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;

/// A folder with tokenizer files: the 256 bytes, "ab", <|endoftext|> 257, <|im_end|> 258, <think>
/// 259, to be changed before the keys are asked for.
class HfTokenizer : public ::testing::Test {
 protected:
  ordered_json tokenizer_ = test_tokenizer();
  ordered_json settings_ = ordered_json::object();
  ordered_json config_ = ordered_json::object();
  TestFolder folder_;

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

  /// "key type value" of every key, in order; of the three long lists the key alone.
  std::vector<std::string> keys(int n_vocab = 262) {
    read(n_vocab);
    std::vector<std::string> out;
    for (const gguf::Entry& entry : file_->metadata().entries()) {
      const std::string key(entry.key);
      const bool is_long = key == "tokenizer.ggml.tokens" || key == "tokenizer.ggml.token_type" ||
                           key == "tokenizer.ggml.merges";
      out.push_back(is_long ? key
                            : fmt::format("{} {} {}", key, entry.type_text(), entry.to_text()));
    }
    return out;
  }

  /// Keys whose names begin so.
  std::vector<std::string> keys_of(const std::string& start) {
    std::vector<std::string> out = keys();
    std::erase_if(out, [&](const std::string& key) { return !key.starts_with(start); });
    return out;
  }

  /// "spelling kind" of tokens from 256 on.
  std::vector<std::string> late_tokens(int n_vocab) {
    read(n_vocab);
    const auto tokens = file_->metadata().find_string_array("tokenizer.ggml.tokens").value();
    const auto kinds = file_->metadata().find_i32_array("tokenizer.ggml.token_type").value();
    EXPECT_EQ(tokens.size(), kinds.size());
    std::vector<std::string> out;
    for (std::size_t i = 256; i < tokens.size(); ++i) {
      out.push_back(fmt::format("{} {}", tokens[i], kinds[i]));
    }
    return out;
  }

  template <class Kind>
  std::string refusal(int n_vocab = 262) {
    try {
      read(n_vocab);
    } catch (const Kind& error) {
      return error.what();
    }
    return "nothing was refused";
  }

 private:
  void read(int n_vocab) {
    write("tokenizer.json", tokenizer_.dump());
    write("tokenizer_config.json", settings_.dump());
    write("config.json", config_.dump());
    gguf::Writer writer;
    write_tokenizer_keys(folder_.path(), n_vocab, writer);
    bytes_ = writer.to_bytes();
    file_.emplace(gguf::File::from_memory(bytes_, "keys"));
  }

  std::vector<std::byte> bytes_;
  std::optional<gguf::File> file_;
};

ordered_json added(const char* text, bool special) {
  return {{"content", text}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false},  {"special", special}};
}

TEST_F(HfTokenizer, WritesItsKeysInTheConvertersOrder) {
  settings_ = {{"add_bos_token", false},
               {"chat_template", "{{ x }}"},
               {"eos_token", "<|im_end|>"},
               {"pad_token", "<|endoftext|>"}};
  EXPECT_THAT(
      keys(),
      ::testing::ElementsAre(
          "tokenizer.ggml.model string gpt2", "tokenizer.ggml.pre string qwen35",
          "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges",
          "tokenizer.ggml.eos_token_id u32 258", "tokenizer.ggml.padding_token_id u32 257",
          "tokenizer.ggml.add_bos_token bool false", "tokenizer.chat_template string {{ x }}"));
}

TEST_F(HfTokenizer, TakesAddedTokensThatOnlyItsSettingsHave) {
  settings_["added_tokens_decoder"] = {{"257", added("<|endoftext|>", true)},
                                       {"260", added("<tts_pad>", true)},
                                       {"261", added("<odd>", false)}};
  EXPECT_THAT(late_tokens(264),
              ::testing::ElementsAre("ab 1", "<|endoftext|> 3", "<|im_end|> 3", "<think> 4",
                                     "<tts_pad> 3", "<odd> 4", "[PAD262] 5", "[PAD263] 5"));
}

TEST_F(HfTokenizer, TokensThatLookSpecialAreControlTokens) {
  for (const char* text : {"<|fim|>", "<unused3>", "<pad>", "<mask>"}) {
    ordered_json token = added(text, false);
    token["id"] = 260;
    tokenizer_["added_tokens"][3] = token;
    EXPECT_THAT(late_tokens(261), ::testing::Contains(fmt::format("{} 3", text)));
  }
  ordered_json token = added("<|half", false);
  token["id"] = 260;
  tokenizer_["added_tokens"][3] = token;
  EXPECT_THAT(late_tokens(261), ::testing::Contains("<|half 4"));
}

TEST_F(HfTokenizer, SpecialIdsComeFromNamesThenFromNumbers) {
  settings_["eos_token"] = {{"content", "<|im_end|>"}, {"lstrip", false}};
  settings_["unk_token"] = nullptr;
  settings_["mask_token"] = "a word that is no token";
  config_ = {{"eos_token_id", 7},
             {"pad_token_id", 262},
             {"cls_token_id", {1, 2}},
             {"text_config", {{"bos_token_id", 257}, {"sep_token_id", 9}}}};
  EXPECT_THAT(keys_of("tokenizer.ggml."),
              ::testing::IsSupersetOf({"tokenizer.ggml.eos_token_id u32 258",
                                       "tokenizer.ggml.bos_token_id u32 257",
                                       "tokenizer.ggml.seperator_token_id u32 9"}));
  // Without a row, a list, or a text that is no token: left out.
  for (const char* absent : {"padding", "cls", "mask", "unknown"}) {
    EXPECT_TRUE(keys_of(fmt::format("tokenizer.ggml.{}_token_id", absent)).empty()) << absent;
  }
}

TEST_F(HfTokenizer, TheSettingsTemplateGoesBeforeFiles) {
  write("chat_template.json", R"({"chat_template": "json"})");
  EXPECT_THAT(keys_of("tokenizer.chat"),
              ::testing::ElementsAre("tokenizer.chat_template string json"));
  write("chat_template.jinja", "jinja");
  EXPECT_THAT(keys_of("tokenizer.chat"),
              ::testing::ElementsAre("tokenizer.chat_template string jinja"));
  settings_["chat_template"] = "settings";
  EXPECT_THAT(keys_of("tokenizer.chat"),
              ::testing::ElementsAre("tokenizer.chat_template string settings"));
}

TEST_F(HfTokenizer, FurtherTemplatesHaveNames) {
  write("chat_template.jinja", "one");
  write("additional_chat_templates/tool-use.jinja", "two");
  write("additional_chat_templates/note.txt", "no template");
  const auto expected =
      ::testing::ElementsAre("tokenizer.chat_template.tool_use string two",
                             "tokenizer.chat_templates array of string [\"tool_use\"]",
                             "tokenizer.chat_template string one");
  EXPECT_THAT(keys_of("tokenizer.chat"), expected);
  settings_["chat_template"] = ordered_json::parse(
      R"([{"name": "default", "template": "one"}, {"name": "tool-use", "template": "two"}])");
  EXPECT_THAT(keys_of("tokenizer.chat"), expected);
}

TEST_F(HfTokenizer, MayHaveNoTemplate) { EXPECT_TRUE(keys_of("tokenizer.chat").empty()); }

TEST_F(HfTokenizer, RefusesMoreTokensThanRows) {
  EXPECT_EQ(late_tokens(260).back(), "<think> 4");
  const std::string text = refusal<FormatError>(259);
  EXPECT_THAT(text, HasSubstr(folder_ / "tokenizer.json"));
  EXPECT_THAT(text, HasSubstr("260 tokens"));
  EXPECT_THAT(text, HasSubstr("259"));
}

TEST_F(HfTokenizer, RefusesMembersOfAWrongTypeByName) {
  settings_["chat_template"] = 3;
  EXPECT_THAT(refusal<FormatError>(), HasSubstr("chat_template"));
  settings_ = {{"eos_token", 4}};
  EXPECT_THAT(refusal<FormatError>(), HasSubstr("eos_token"));
  settings_ = ordered_json::object();
  config_ = {{"eos_token_id", -3}};
  EXPECT_THAT(refusal<FormatError>(), HasSubstr("eos_token_id"));
}

TEST(HfTokenizerFiles, SaysWhatToDoWithoutATokenizer) {
  const TestFolder folder;
  gguf::Writer keys;
  try {
    write_tokenizer_keys(folder.path(), 10, keys);
    FAIL();
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no tokenizer.json"));
    EXPECT_THAT(error.what(), HasSubstr("base model"));
  }
}

}  // namespace
}  // namespace foretoken::convert
