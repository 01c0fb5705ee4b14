#include "tokenizer/nfc.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <chrono>
#include <cstdlib>

#include "tokenizer/test_vocabulary.h"

namespace foretoken::tokenizer {
namespace {

/// The whole text through utf8proc, no shortcuts.
std::string whole_nfc(const std::string& text) {
  utf8proc_uint8_t* result = nullptr;
  const auto n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                              static_cast<utf8proc_ssize_t>(text.size()), &result,
                              static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  EXPECT_GE(n, 0);
  std::string out(reinterpret_cast<const char*>(result), static_cast<std::size_t>(n));
  std::free(result);
  return out;
}

TEST(Nfc, FollowsAnnex15) {
  const Nfc nfc;
  EXPECT_EQ(nfc.normalize("cafe\u0301"), "caf\u00E9");
  EXPECT_EQ(nfc.normalize("\u212B"), "\u00C5");                  // singleton
  EXPECT_EQ(nfc.normalize("\u0958"), "\u0915\u093C");            // excluded from composition
  EXPECT_EQ(nfc.normalize("\u1100\u1161\u11A8"), "\uAC01");      // Hangul jamo
  EXPECT_EQ(nfc.normalize("\uAC00\u11A8"), "\uAC01");            // syllable and jamo
  EXPECT_EQ(nfc.normalize("a\u0302\u0323"), "\u1EAD");           // marks reorder
  EXPECT_EQ(nfc.normalize("q\u0307\u0323x"), "q\u0323\u0307x");  // reorder, nothing to join
  EXPECT_EQ(nfc.normalize("\u0301"), "\u0301");
  EXPECT_EQ(nfc.normalize(""), "");
}

TEST(Nfc, InertCharactersDoNotChangeAloneOrAfterAnything) {
  const Nfc nfc;
  std::mt19937 rng(1);
  int n_inert = 0;
  for (char32_t code = 1; code < 0x30000; ++code) {
    if ((code >= 0xD800 && code < 0xE000) || !nfc.is_inert(code)) continue;
    ++n_inert;
    std::string alone;
    append_utf8(alone, code);
    ASSERT_EQ(whole_nfc(alone), alone) << static_cast<unsigned>(code);
    for (const std::string before : {"A", "\u1100", "\u09C7", "\u0915", "o\u0302"}) {
      ASSERT_EQ(whole_nfc(before + alone), whole_nfc(before) + alone)
          << static_cast<unsigned>(code);
    }
  }
  EXPECT_GT(n_inert, 100000);  // the shortcut is worth something
}

TEST(Nfc, EqualsTheFullAlgorithmOnRandomText) {
  const Nfc nfc;
  std::mt19937 rng(7);
  constexpr char32_t kPool[] = {'a',    'o',    'E',    0x301,  0x302,   0x323,   0x327,
                                0x345,  0x1100, 0x1161, 0x11A8, 0xAC00,  0xAC01,  0x212B,
                                0x958,  0x915,  0x93C,  0x9C7,  0x9BE,   0x1EAD,  0x4E2D,
                                0xF900, 0x3099, 0x304B, 0x344,  0x1D15E, 0x110A5, 0x110BA};
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (std::size_t n = rng() % 12; n > 0; --n) append_utf8(text, kPool[rng() % std::size(kPool)]);
    ASSERT_EQ(nfc.normalize(text), whole_nfc(text)) << text;
  }
}

TEST(Nfc, SortsALongRunOfMarksInLinearithmicTime) {
  // Sorting by insertion would need 6e10 steps here, minutes.
  std::string text = "a";
  for (int i = 0; i < 250000; ++i) text += "\u0301";
  for (int i = 0; i < 250000; ++i) text += "\u0323";
  const auto start = std::chrono::steady_clock::now();
  const std::string normalized = Nfc().normalize(text);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_EQ(normalized.substr(0, 5), "\u1EA1\u0323");
  EXPECT_TRUE(normalized.ends_with("\u0301"));
}

}  // namespace
}  // namespace foretoken::tokenizer
