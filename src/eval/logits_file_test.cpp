#include "eval/logits_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <random>

#include "base/error.h"

namespace foretoken::eval {
namespace {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 4.0F);
  std::vector<float> out(n);
  for (float& value : out) value = normal(random);
  return out;
}

std::vector<double> log_softmax(const std::vector<float>& logits) {
  double sum = 0.0;
  for (const float value : logits) sum += std::exp(static_cast<double>(value));
  std::vector<double> out;
  for (const float value : logits) out.push_back(value - std::log(sum));
  return out;
}

struct SavedFile {
  SavedFile() : path(::testing::TempDir() + "foretoken_logits_" + std::to_string(getpid())) {}
  ~SavedFile() { std::filesystem::remove(path); }
  std::string path;

  std::vector<std::byte> bytes() const {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::byte> out(text.size());
    std::memcpy(out.data(), text.data(), text.size());
    return out;
  }
};

constexpr LogitsHeader kHeader{.n_vocab = 5, .window = 4, .first_scored = 3, .n_windows = 2};
const std::vector<TokenId> kTokens = {0, 1, 2, 3, 4, 3, 2, 1};

void write_small(const std::string& path) {
  LogitsWriter writer(path, kHeader, kTokens);
  writer.write(random_logits(5, 1));
  writer.write(random_logits(5, 2));
  writer.finish();
}

// ---- Rounding ----

TEST(RoundedRow, KeepsLogProbabilitiesToHalfAStep) {
  for (const std::size_t n : {2U, 3U, 1000U}) {
    const std::vector<float> logits = random_logits(n, static_cast<unsigned>(n));
    RoundedRow row;
    row.assign(logits);
    std::vector<double> got;
    row.decode(got);
    const std::vector<double> exact = log_softmax(logits);
    double sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      // Half a step by rounding, as much again by normalising.
      EXPECT_NEAR(got[i], exact[i], static_cast<double>(row.step) * 1.001) << n << " " << i;
      sum += std::exp(got[i]);
    }
    EXPECT_NEAR(sum, 1.0, 1e-12);
    EXPECT_LE(static_cast<double>(row.step), RoundedRow::kRange / 65535.0);
    EXPECT_NEAR(row.top, *std::max_element(exact.begin(), exact.end()), 1e-6);
  }
}

TEST(RoundedRow, TakesOddLogits) {
  RoundedRow row;
  std::vector<double> p;
  row.assign(std::vector<float>{3.0F, 3.0F, 3.0F, 3.0F});
  row.decode(p);
  for (const double value : p) EXPECT_DOUBLE_EQ(value, std::log(0.25));
  row.assign(std::vector<float>{-kInfinity, 0.0F, std::nanf(""), 0.0F, kInfinity});
  row.decode(p);
  EXPECT_NEAR(p[1], std::log(0.5), 1e-12);
  EXPECT_NEAR(p[3], std::log(0.5), 1e-12);
  for (const int i : {0, 2, 4}) EXPECT_LT(p[static_cast<std::size_t>(i)], -39.0) << i;
  row.assign(std::vector<float>{-1e30F, 0.0F, 1.0F});
  row.decode(p);
  EXPECT_NEAR(p[0], -RoundedRow::kRange, 0.5);
  EXPECT_NEAR(p[2] - p[1], 1.0, 1e-3);
  EXPECT_THROW(row.assign(std::vector<float>{kInfinity, -kInfinity}), FormatError);
}

// ---- Round trip ----

TEST(LogitsFile, ReadsWhatWasWritten) {
  const SavedFile saved;
  write_small(saved.path);
  const LogitsFile file = LogitsFile::open(saved.path);
  EXPECT_EQ(file.header().n_vocab, 5U);
  EXPECT_EQ(file.header().n_rows(), 2U);
  EXPECT_EQ(std::vector<TokenId>(file.tokens().begin(), file.tokens().end()), kTokens);
  for (std::size_t i = 0; i < 2; ++i) {
    RoundedRow expected;
    expected.assign(random_logits(5, static_cast<unsigned>(i + 1)));
    RoundedRow row;
    file.read_row(i, row);
    EXPECT_EQ(row.codes, expected.codes);
    EXPECT_EQ(row.step, expected.step);
    EXPECT_EQ(row.top, expected.top);
  }
}

TEST(LogitsFile, IsNotThereBeforeItIsFinished) {
  const SavedFile saved;
  {
    LogitsWriter writer(saved.path, kHeader, kTokens);
    writer.write(random_logits(5, 1));
    EXPECT_FALSE(std::filesystem::exists(saved.path));
  }
  EXPECT_FALSE(std::filesystem::exists(saved.path));
}

TEST(LogitsFile, WriterRefusesAHeaderThatNobodyWouldRead) {
  const SavedFile saved;
  LogitsHeader header = kHeader;
  header.first_scored = 4;
  EXPECT_THROW(LogitsWriter(saved.path, header, kTokens), RequestError);
  EXPECT_THROW(LogitsWriter(saved.path, kHeader, std::span(kTokens).first(7)), RequestError);
  EXPECT_FALSE(std::filesystem::exists(saved.path));
}

// ---- Damage ----

std::string refusal(const std::vector<std::byte>& bytes) {
  try {
    const LogitsFile file = LogitsFile::from_memory(bytes, "some.logits");
    RoundedRow row;
    for (std::size_t i = 0; i < file.header().n_rows(); ++i) file.read_row(i, row);
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("some.logits"));
    return error.what();
  }
  return "";
}

TEST(LogitsFile, NoticesEveryDamagedByteAndEveryLength) {
  const SavedFile saved;
  write_small(saved.path);
  const std::vector<std::byte> good = saved.bytes();
  EXPECT_EQ(refusal(good), "");
  const std::size_t first_row = 8 + 6 * 4 + kTokens.size() * 4;
  for (std::size_t i = 0; i < good.size(); ++i) {
    if (i >= 32 && i < first_row) continue;  // another token of the vocabulary is a valid text
    for (const unsigned bit : {0U, 3U, 7U}) {
      std::vector<std::byte> bad = good;
      bad[i] ^= static_cast<std::byte>(1U << bit);
      EXPECT_NE(refusal(bad), "") << "byte " << i << " bit " << bit;
    }
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_NE(refusal({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}), "")
        << size;
  }
  std::vector<std::byte> longer = good;
  longer.emplace_back();
  EXPECT_THAT(refusal(longer), HasSubstr("bytes long where its header asks for"));
}

TEST(LogitsFile, SaysWhatIsWrongWithAHeader) {
  const SavedFile saved;
  write_small(saved.path);
  const auto with_word = [&](std::size_t index, std::uint32_t value) {
    std::vector<std::byte> bytes = saved.bytes();
    std::memcpy(bytes.data() + 8 + 4 * index, &value, sizeof(value));
    return refusal(bytes);
  };
  EXPECT_THAT(with_word(0, 2), HasSubstr("version 2"));
  EXPECT_THAT(with_word(1, 0), HasSubstr("a vocabulary of 0 tokens"));
  EXPECT_THAT(with_word(1, 0xFFFFFFFF), HasSubstr("a vocabulary of 4294967295 tokens"));
  EXPECT_THAT(with_word(1, 3), HasSubstr("header asks for"));
  EXPECT_THAT(with_word(2, 0x80000000), HasSubstr("windows of 2147483648 tokens"));
  EXPECT_THAT(with_word(3, 0), HasSubstr("scored from token 0 on"));
  EXPECT_THAT(with_word(4, 0xFFFFFFFF), HasSubstr("4294967295 windows"));
  EXPECT_THAT(with_word(5, 1), HasSubstr("a reserved word of 1"));
  EXPECT_THAT(with_word(6, 5), HasSubstr("token 0 is 5"));
  EXPECT_THAT(with_word(6, 0xFFFFFFFF), HasSubstr("token 0 is -1"));
}

}  // namespace
}  // namespace foretoken::eval
