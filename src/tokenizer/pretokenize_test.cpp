#include "tokenizer/pretokenize.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tokenizer/test_vocabulary.h"

namespace foretoken::tokenizer {
namespace {

using Pieces = std::vector<std::string>;

Pieces pieces_of(std::string_view name, std::string_view text) {
  const PreTokenizer pre_tokenizer(name, "test.gguf");
  PreTokenizer::Matcher matcher(pre_tokenizer);
  Pieces pieces;
  for (std::size_t pos = 0; pos < text.size(); pos += pieces.back().size()) {
    pieces.emplace_back(text.substr(pos, matcher.piece_length(text, pos)));
  }
  return pieces;
}

Pieces qwen35(std::string_view text) { return pieces_of("qwen35", text); }

TEST(PreTokenizer, CutsAsTheFamilyDoes) {
  EXPECT_EQ(qwen35("12345"), (Pieces{"1", "2", "3", "4", "5"}));
  EXPECT_EQ(qwen35("a\n\n b"), (Pieces{"a", "\n\n", " b"}));
  EXPECT_EQ(qwen35("x   y"), (Pieces{"x", "  ", " y"}));
  EXPECT_EQ(qwen35("don't"), (Pieces{"don", "'t"}));
  EXPECT_EQ(qwen35("DON'T we'LL"), (Pieces{"DON", "'T", " we", "'LL"}));
  EXPECT_EQ(qwen35(" (a) 7"), (Pieces{" (", "a", ")", " ", "7"}));
  EXPECT_EQ(qwen35("f();\n\n}"), (Pieces{"f", "();\n\n", "}"}));
  EXPECT_EQ(qwen35("\tx \t \n  y  "), (Pieces{"\tx", " \t \n", " ", " y", "  "}));
  EXPECT_EQ(qwen35("'tis"), (Pieces{"'t", "is"}));
  EXPECT_EQ(qwen35("\u4E2D\u6587\u3002ok"), (Pieces{"\u4E2D\u6587", "\u3002ok"}));
}

TEST(PreTokenizer, CombiningMarksBelongToLettersInQwen35Only) {
  const std::string text = "q\u0307q";
  EXPECT_EQ(qwen35(text), Pieces{text});
  EXPECT_EQ(pieces_of("qwen2", text), (Pieces{"q", "\u0307q"}));
  EXPECT_EQ(qwen35("a.\u0307"), (Pieces{"a", ".\u0307"}));
}

TEST(PreTokenizer, WhiteSpaceIsUnicodes) {
  EXPECT_EQ(qwen35("a\u3000\u2003b"), (Pieces{"a", "\u3000", "\u2003b"}));
  EXPECT_EQ(qwen35("!\u0085!"), (Pieces{"!", "\u0085", "!"}));
  // The Mongolian vowel separator is no white space since Unicode 6.3.
  EXPECT_EQ(qwen35("!\u180E!"), Pieces{"!\u180E!"});
  EXPECT_EQ(qwen35("!\x1C!"), Pieces{"!\x1C!"});
}

TEST(PreTokenizer, UnknownNamesAreRefused) {
  EXPECT_THROW(PreTokenizer("llama-bpe", "test.gguf"), UnsupportedError);
  EXPECT_THROW(PreTokenizer("", "test.gguf"), UnsupportedError);
}

TEST(PreTokenizer, NamesAndExpressionsBelongTogether) {
  EXPECT_EQ(pre_tokenizer_name(pre_tokenizer_expression("qwen2")), "qwen2");
  EXPECT_EQ(pre_tokenizer_name(pre_tokenizer_expression("qwen35")), "qwen35");
  EXPECT_EQ(pre_tokenizer_name("\\s+"), "");
}

TEST(AsciiPieces, EqualTheExpressionOnEveryShortText) {
  // All texts of up to 6 characters over one representative of each case.
  constexpr std::string_view kAlphabet = "aSE' \n\t0.";
  const PreTokenizer pre_tokenizer("qwen35", "test.gguf");
  PreTokenizer::Matcher matcher(pre_tokenizer);
  for (std::size_t length = 1; length <= 6; ++length) {
    std::vector<std::size_t> digits(length, 0);
    for (bool more = true; more;) {
      std::string text;
      for (const std::size_t digit : digits) text += kAlphabet[digit];
      ASSERT_EQ(ascii_piece_length(text), matcher.expression_piece_length(text, 0)) << text;
      more = false;
      for (std::size_t& digit : digits) {
        if (++digit < kAlphabet.size()) {
          more = true;
          break;
        }
        digit = 0;
      }
    }
  }
}

TEST(AsciiPieces, EqualBothExpressionsOnRandomText) {
  std::mt19937 rng(11);
  for (const std::string_view name : {"qwen35", "qwen2"}) {
    const PreTokenizer pre_tokenizer(name, "test.gguf");
    PreTokenizer::Matcher matcher(pre_tokenizer);
    std::size_t n_known = 0;
    std::size_t n_pieces = 0;
    for (int round = 0; round < 3000; ++round) {
      const std::string text = random_text(rng, 1 + rng() % 60);
      for (std::size_t pos = 0; pos < text.size(); ++n_pieces) {
        const std::size_t expected = matcher.expression_piece_length(text, pos);
        const std::size_t scanned = ascii_piece_length(std::string_view(text).substr(pos));
        if (scanned != 0) {
          ASSERT_EQ(scanned, expected) << "at " << pos << " of " << text;
          ++n_known;
        }
        ASSERT_GT(expected, 0u);
        pos += expected;
      }
    }
    EXPECT_GT(n_known, n_pieces / 3);
    EXPECT_LT(n_known, n_pieces);
  }
}

TEST(PreTokenizer, TakesAMegabyteOfOneKind) {
  constexpr std::size_t kChars = 1 << 20;
  const auto repeat = [](std::string_view unit) {
    std::string text;
    for (std::size_t i = 0; i < kChars; ++i) text += unit;
    return text;
  };
  for (const std::string_view unit : {"a", "\u00E9", "q\u0307", "!", "\u20AC", "\n", " \n"}) {
    const std::string text = repeat(unit);
    EXPECT_EQ(qwen35(text).size(), 1u) << unit;
  }
  EXPECT_EQ(qwen35(repeat("\u3000") + "x").size(), 2u);
  EXPECT_EQ(qwen35(repeat(" ") + "\u00E9").size(), 2u);
}

}  // namespace
}  // namespace foretoken::tokenizer
