#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "gguf/file.h"
#include "tokenizer/nfc.h"
#include "tokenizer/test_vocabulary.h"

namespace foretoken::tokenizer {
namespace {

std::string project_file(const std::string& path) {
  return std::string(FORETOKEN_SOURCE_DIR) + "/" + path;
}

/// The demo model's vocabulary from each kind of file that holds it.
struct Source {
  std::string name;
  Tokenizer tokenizer;
};
std::vector<Source> all_sources() {
  std::vector<Source> sources;
  const auto model = gguf::File::open(project_file("models/tiny/tiny-base-BF16.gguf"));
  sources.push_back({"GGUF", Tokenizer::from_gguf(model)});
  for (const std::string name : {"base", "finetune"}) {
    sources.push_back(
        {name, Tokenizer::from_directory(project_file("tests/data/tokenizer/" + name))});
  }
  return sources;
}

Tokenizer tiny() {
  return Tokenizer::from_gguf(gguf::File::open(project_file("models/tiny/tiny-base-BF16.gguf")));
}

std::string join_pieces(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string bytes;
  for (const TokenId id : ids) bytes += tokenizer.piece(id);
  return bytes;
}

TEST(Tokenizer, ReproducesTheReferenceIds) {
  std::ifstream file(project_file("tests/data/goldens/tokenizer.json"));
  const auto cases = nlohmann::json::parse(file).at("cases");
  ASSERT_GT(cases.size(), 100u);
  for (const Source& source : all_sources()) {
    for (const auto& golden : cases) {
      const auto text = golden.at("text").get<std::string>();
      const auto ids = golden.at("ids").get<std::vector<TokenId>>();
      const auto plain_ids = golden.at("ids_no_special").get<std::vector<TokenId>>();
      EXPECT_EQ(source.tokenizer.encode(text), ids) << source.name << ": " << text;
      EXPECT_EQ(source.tokenizer.encode(text, {.parse_special = false}), plain_ids)
          << source.name << ": " << text;
      EXPECT_EQ(source.tokenizer.decode(ids), golden.at("decoded").get<std::string>());
    }
  }
}

TEST(Tokenizer, AllSourcesAgreeOnEveryToken) {
  const auto sources = all_sources();
  const Tokenizer& gguf = sources[0].tokenizer;
  EXPECT_EQ(gguf.n_vocab(), 2048);
  EXPECT_EQ(gguf.n_real_vocab(), 2032);
  for (const Source& source : sources) {
    EXPECT_EQ(source.tokenizer.n_real_vocab(), 2032) << source.name;
    for (TokenId id = 0; id < 2032; ++id) {
      ASSERT_EQ(source.tokenizer.piece(id), gguf.piece(id)) << source.name;
      ASSERT_EQ(source.tokenizer.kind(id), gguf.kind(id)) << source.name << " " << id;
      ASSERT_EQ(source.tokenizer.is_end_of_generation(id), gguf.is_end_of_generation(id)) << id;
    }
  }
}

TEST(Tokenizer, KnowsItsSpecialTokens) {
  const Tokenizer tokenizer = tiny();
  const auto end = tokenizer.find_special("<|im_end|>");
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(tokenizer.kind(*end), TokenKind::Control);
  EXPECT_EQ(tokenizer.piece(*end), "<|im_end|>");
  EXPECT_EQ(tokenizer.kind(tokenizer.find_special("<think>").value()), TokenKind::UserDefined);
  EXPECT_EQ(tokenizer.find_special("<|im_end|"), std::nullopt);
  EXPECT_EQ(tokenizer.find_special("hello"), std::nullopt);
  int n_end = 0;
  for (TokenId id = 0; id < tokenizer.n_vocab(); ++id) n_end += tokenizer.is_end_of_generation(id);
  EXPECT_EQ(n_end, 5);
  EXPECT_TRUE(tokenizer.is_end_of_generation(*end));
  EXPECT_TRUE(tokenizer.is_end_of_generation(tokenizer.find_special("<|endoftext|>").value()));
  EXPECT_FALSE(tokenizer.is_end_of_generation(-1));
}

TEST(Tokenizer, AddedTokensInARowBecomeThemselves) {
  const Tokenizer tokenizer = tiny();
  std::string text;
  std::vector<TokenId> expected;
  for (TokenId id = 0; id < tokenizer.n_real_vocab(); ++id) {
    if (tokenizer.kind(id) != TokenKind::Control && tokenizer.kind(id) != TokenKind::UserDefined) {
      continue;
    }
    text += tokenizer.piece(id);
    expected.push_back(id);
  }
  EXPECT_EQ(expected.size(), 26u);
  EXPECT_EQ(tokenizer.encode(text), expected);
}

TEST(Tokenizer, LongestAddedTokenWinsAndIsFoundInsidePieces) {
  Vocabulary vocabulary = bytes_vocabulary();
  const TokenId short_id = add_token(vocabulary, "<a>", TokenKind::UserDefined);
  const TokenId long_id = add_token(vocabulary, "<a><b>", TokenKind::UserDefined);
  const TokenId control = add_token(vocabulary, "<a><b><c>", TokenKind::Control);
  const TokenId other = add_token(vocabulary, "stop", TokenKind::Control);
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.encode("x<a><b>y"), (std::vector<TokenId>{'x', long_id, 'y'}));
  EXPECT_EQ(tokenizer.encode("<a><a><b"), (std::vector<TokenId>{short_id, short_id, '<', 'b'}));
  EXPECT_EQ(tokenizer.encode("<a><b><c>"), std::vector<TokenId>{control});
  // Without control tokens the longest of the others counts.
  EXPECT_EQ(tokenizer.encode("<a><b><c>", {.parse_special = false}),
            (std::vector<TokenId>{long_id, '<', 'c', '>'}));
  EXPECT_EQ(tokenizer.encode("unstoppable")[2], other);
}

TEST(Tokenizer, UntrustedTextCannotSpellControlTokens) {
  const Tokenizer tokenizer = tiny();
  const TokenId end = tokenizer.find_special("<|im_end|>").value();
  const TokenId think = tokenizer.find_special("<think>").value();
  const auto count = [&](std::vector<Segment> segments, TokenId id) {
    const auto ids = tokenizer.encode(segments);
    std::string joined;
    for (const auto& segment : segments) joined += segment.text;
    EXPECT_EQ(tokenizer.decode(ids), joined);
    return std::ranges::count(ids, id);
  };
  EXPECT_EQ(count({{"Hi<|im_end|>\n", true}}, end), 1);
  EXPECT_EQ(count({{"Hi<|im_end|>\n", false}}, end), 0);
  EXPECT_EQ(count({{"Hi<|im_", true}, {"end|>", false}}, end), 0);
  EXPECT_EQ(count({{"Hi<|im_", false}, {"end|>", true}}, end), 0);
  EXPECT_EQ(count({{"<|im", true}, {"_en", false}, {"d|>", true}}, end), 0);
  EXPECT_EQ(count({{"<|im_", true}, {"", false}, {"end|>", true}}, end), 1);
  EXPECT_EQ(count({{"<|im_end|>", false}, {"<|im_end|>", true}, {"<|im_end|>", false}}, end), 1);
  EXPECT_EQ(count({{"<think>", false}}, think), 1);
}

TEST(Tokenizer, SegmentBordersLeaveNoTrace) {
  const Tokenizer tokenizer = tiny();
  const std::string text =
      "<|im_start|>user\nWhat's cafe\u0301  \n\n  12 "
      "\u4E2D\u6587?<|im_end|>\n<|im_start|>assistant\n"
      "<think>\n\n</think>\n\nDon't\t panic.<|im_end|>";
  const auto expected = tokenizer.encode(text);
  std::mt19937 rng(2);
  for (int round = 0; round < 500; ++round) {
    // Cut at random bytes, even inside characters; stretches without a control token may be
    // untrusted.
    std::vector<Segment> segments;
    for (std::size_t pos = 0; pos < text.size();) {
      std::size_t length = 1 + rng() % 20;
      const std::size_t control = text.find("<|", pos);
      bool trusted = rng() % 2 == 0;
      if (control == pos) {
        length = text.find("|>", pos) + 2 - pos;
        trusted = true;
      } else {
        length = std::min({length, text.size() - pos, control - pos});
      }
      segments.push_back({text.substr(pos, length), trusted});
      pos += length;
    }
    ASSERT_EQ(tokenizer.encode(segments), expected);
  }
}

TEST(Tokenizer, KeepsEveryByteOfInvalidUtf8) {
  const Tokenizer tokenizer = tiny();
  std::mt19937 rng(9);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (std::size_t n = rng() % 40; n > 0; --n) {
      // Neither Latin letters nor marks in pieces: NFC must find nothing to change.
      constexpr std::string_view kBytes =
          "ab \n'1.\x80\xBF\xC3\xE4\xB8\xAD\xED\xA0\xF0\x9F\xFF\xFE";
      bytes += kBytes[rng() % kBytes.size()];
    }
    const auto ids = tokenizer.encode(bytes);
    ASSERT_EQ(join_pieces(tokenizer, ids), bytes);
  }
}

TEST(Tokenizer, InvalidBytesSeparatePieces) {
  Vocabulary vocabulary = bytes_vocabulary();
  const TokenId ab = add_merge(vocabulary, "a", "b");
  const TokenId ff = add_merge(vocabulary, "\xFF", "\xFF");
  add_merge(vocabulary, "b", "\xFF");
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.encode("ab\xFF\xFF"), (std::vector<TokenId>{ab, ff}));
  EXPECT_EQ(tokenizer.encode("\xFF\xFF\xC3"), (std::vector<TokenId>{ff, 0xC3}));
}

TEST(Tokenizer, DecodesWhatItEncodes) {
  const Tokenizer tokenizer = tiny();
  std::mt19937 rng(4);
  const Nfc nfc;
  for (int round = 0; round < 500; ++round) {
    const std::string text = nfc.normalize(random_text(rng, rng() % 200));
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
}

TEST(Tokenizer, RefusesIdsOutsideTheVocabulary) {
  const Tokenizer tokenizer = tiny();
  EXPECT_THROW(tokenizer.piece(-1), RequestError);
  EXPECT_THROW(tokenizer.piece(2048), RequestError);
  EXPECT_THROW(tokenizer.kind(2048), RequestError);
  EXPECT_THROW(tokenizer.decode(std::vector<TokenId>{1, 2, INT32_MAX}), RequestError);
  EXPECT_EQ(tokenizer.piece(2047), "[PAD2047]");
}

TEST(Tokenizer, IsThreadSafe) {
  const Tokenizer tokenizer = tiny();
  std::mt19937 rng(6);
  std::vector<std::string> texts;
  std::vector<std::vector<TokenId>> expected;
  for (int i = 0; i < 50; ++i) {
    texts.push_back(random_text(rng, 300));
    expected.push_back(tiny().encode(texts.back()));
  }
  std::vector<std::jthread> threads;
  std::atomic<int> n_wrong = 0;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::size_t i = 0; i < 200; ++i) {
        const std::size_t which = (i * 7 + static_cast<std::size_t>(thread)) % texts.size();
        if (tokenizer.encode(texts[which]) != expected[which]) ++n_wrong;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(n_wrong, 0);
}

TEST(Tokenizer, AMegabyteOfOneLetterIsQuick) {
  const Tokenizer tokenizer = tiny();
  for (const std::string_view unit : {"a", " ", "\u00E9", "\u0301", "\xFF", "<|im_"}) {
    std::string text;
    while (text.size() < (1 << 20)) text += unit;
    const auto start = std::chrono::steady_clock::now();
    const auto ids = tokenizer.encode(text);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << unit;
    EXPECT_EQ(join_pieces(tokenizer, ids), text);
  }
}

}  // namespace
}  // namespace foretoken::tokenizer
