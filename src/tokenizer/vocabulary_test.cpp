// Vocabularies that contradict themselves are refused with a sentence that names file and key.
#include "tokenizer/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "gguf/writer.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/test_vocabulary.h"

namespace foretoken::tokenizer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <class Expected>
std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Expected& error) {
    return error.what();
  }
  return "no such error";
}

std::string format_error(const Vocabulary& vocabulary) {
  return error_of<FormatError>([&] { Tokenizer{vocabulary}; });
}

TEST(Vocabulary, MergesMustNameKnownPieces) {
  Vocabulary vocabulary = bytes_vocabulary();
  vocabulary.merges.push_back({"a b", 1});
  EXPECT_THAT(format_error(vocabulary),
              AllOf(HasSubstr("test.gguf"), HasSubstr("tokenizer.ggml.merges[0]"),
                    HasSubstr("'ab' is not in")));
  vocabulary.merges[0] = {"a bc", 1};
  add_token(vocabulary, "abc", TokenKind::Normal);
  EXPECT_THAT(format_error(vocabulary), HasSubstr("'bc' is not in"));
}

TEST(Vocabulary, MergesMustNotRepeat) {
  Vocabulary vocabulary = bytes_vocabulary();
  add_merge(vocabulary, "a", "b");
  vocabulary.merges.push_back(vocabulary.merges[0]);
  EXPECT_THAT(format_error(vocabulary),
              AllOf(HasSubstr("tokenizer.ggml.merges[1]"), HasSubstr("repeats")));
}

TEST(Vocabulary, TokensMustDiffer) {
  Vocabulary vocabulary = bytes_vocabulary();
  add_token(vocabulary, "a", TokenKind::Normal);
  EXPECT_THAT(format_error(vocabulary),
              AllOf(HasSubstr("tokenizer.ggml.tokens[97] and [256]"), HasSubstr("'a'")));
  vocabulary.kinds.back() = TokenKind::Unused;  // a slot without a meaning may be called anything
  EXPECT_EQ(Tokenizer(vocabulary).encode("a"), std::vector<TokenId>{'a'});
}

TEST(Vocabulary, AddedTokensMustDifferAndBeSane) {
  Vocabulary vocabulary = bytes_vocabulary();
  add_token(vocabulary, "<x>", TokenKind::Control);
  add_token(vocabulary, "<x>", TokenKind::UserDefined);
  EXPECT_THAT(format_error(vocabulary), HasSubstr("added tokens 256 and 257 are both '<x>'"));
  vocabulary.spellings.back() = "";
  EXPECT_THAT(format_error(vocabulary), HasSubstr("257 has 0 bytes"));
  vocabulary.spellings.back() = std::string(1025, 'x');
  EXPECT_THAT(format_error(vocabulary), HasSubstr("257 has 1025 bytes"));
}

TEST(Vocabulary, EveryByteNeedsAToken) {
  Vocabulary vocabulary = bytes_vocabulary();
  vocabulary.spellings[0x41] = "AA";
  EXPECT_THAT(format_error(vocabulary),
              AllOf(HasSubstr("tokenizer.ggml.tokens"), HasSubstr("byte 0x41")));
}

TEST(Vocabulary, SpellingsMustStayInTheByteAlphabet) {
  Vocabulary vocabulary = bytes_vocabulary();
  add_token(vocabulary, "a b", TokenKind::Normal);
  EXPECT_THAT(format_error(vocabulary),
              AllOf(HasSubstr("tokenizer.ggml.tokens[256]"), HasSubstr("byte alphabet")));
}

TEST(Vocabulary, EmptyIsRefused) { EXPECT_THROW(Tokenizer{Vocabulary{}}, FormatError); }

TEST(Vocabulary, PaddingSlotsAreRecognisedByNameWhateverTheirKind) {
  Vocabulary vocabulary = bytes_vocabulary();
  add_token(vocabulary, "<x>", TokenKind::Control);
  add_token(vocabulary, "[PAD257]", TokenKind::UserDefined);  // as older converters wrote
  add_token(vocabulary, "[PAD258]", TokenKind::Unused);
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.n_vocab(), 259);
  EXPECT_EQ(tokenizer.n_real_vocab(), 257);
  EXPECT_EQ(tokenizer.kind(257), TokenKind::Unused);
  EXPECT_EQ(tokenizer.encode("[PAD257]").size(), 8u);
  EXPECT_EQ(tokenizer.piece(258), "[PAD258]");
}

/// The keys of a GGUF file with the vocabulary of bytes, to be broken one at a time.
class GgufVocabulary : public ::testing::Test {
 protected:
  GgufVocabulary() {
    const Vocabulary bytes = bytes_vocabulary();
    spellings_ = bytes.spellings;
    writer_.set_string("tokenizer.ggml.model", "gpt2");
    writer_.set_string("tokenizer.ggml.pre", "qwen35");
    const std::vector<std::string_view> tokens(spellings_.begin(), spellings_.end());
    writer_.set_string_array("tokenizer.ggml.tokens", tokens);
    writer_.set_i32_array("tokenizer.ggml.token_type", std::vector<std::int32_t>(256, 1));
    writer_.set_string_array("tokenizer.ggml.merges", std::vector<std::string_view>{});
  }

  Tokenizer load() const {
    const auto bytes = writer_.to_bytes();
    return Tokenizer::from_gguf(gguf::File::from_memory(bytes, "broken.gguf"));
  }
  template <class Expected = FormatError>
  std::string load_error() const {
    return error_of<Expected>([&] { load(); });
  }

  std::vector<std::string> spellings_;
  gguf::Writer writer_;
};

TEST_F(GgufVocabulary, LoadsWhenNothingIsBroken) {
  writer_.set_u32("tokenizer.ggml.eos_token_id", 7);
  writer_.set_string("tokenizer.chat_template", "{{ x }}");
  const Tokenizer tokenizer = load();
  EXPECT_EQ(tokenizer.n_vocab(), 256);
  EXPECT_TRUE(tokenizer.is_end_of_generation(7));
  EXPECT_FALSE(tokenizer.is_end_of_generation(8));
  EXPECT_EQ(tokenizer.chat_template(), "{{ x }}");
}

TEST_F(GgufVocabulary, EveryKeyIsNeeded) {
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens",
                          "tokenizer.ggml.token_type", "tokenizer.ggml.merges"}) {
    gguf::Writer copy = writer_;
    copy.remove(key);
    const auto bytes = copy.to_bytes();
    EXPECT_THAT(error_of<FormatError>(
                    [&] { Tokenizer::from_gguf(gguf::File::from_memory(bytes, "broken.gguf")); }),
                AllOf(HasSubstr("broken.gguf"), HasSubstr(key)));
  }
}

TEST_F(GgufVocabulary, TypesMustBeAsManyAsTokens) {
  writer_.set_i32_array("tokenizer.ggml.token_type", std::vector<std::int32_t>(255, 1));
  EXPECT_THAT(load_error(), AllOf(HasSubstr("tokenizer.ggml.token_type has 255"),
                                  HasSubstr("tokenizer.ggml.tokens has 256")));
}

TEST_F(GgufVocabulary, TypesMustBeKnown) {
  std::vector<std::int32_t> types(256, 1);
  types[3] = 7;
  writer_.set_i32_array("tokenizer.ggml.token_type", types);
  EXPECT_THAT(load_error(), HasSubstr("tokenizer.ggml.token_type says 7 for token 3"));
}

TEST_F(GgufVocabulary, MergesMustHaveTwoParts) {
  for (const std::string_view merge : {"ab", " ab", "ab ", "a b c", ""}) {
    writer_.set_string_array("tokenizer.ggml.merges", std::vector<std::string_view>{merge});
    EXPECT_THAT(load_error(), HasSubstr("tokenizer.ggml.merges[0]")) << merge;
  }
}

TEST_F(GgufVocabulary, EndTokenMustExist) {
  writer_.set_u32("tokenizer.ggml.eos_token_id", 256);
  EXPECT_THAT(load_error(), HasSubstr("tokenizer.ggml.eos_token_id is 256"));
}

TEST_F(GgufVocabulary, OtherTokenizersAreUnsupported) {
  writer_.set_string("tokenizer.ggml.pre", "llama-bpe");
  EXPECT_THAT(load_error<UnsupportedError>(), HasSubstr("'llama-bpe'"));
  writer_.set_string("tokenizer.ggml.model", "llama");
  EXPECT_THAT(load_error<UnsupportedError>(), HasSubstr("tokenizer.ggml.model is 'llama'"));
}

}  // namespace
}  // namespace foretoken::tokenizer
