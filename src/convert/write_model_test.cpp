#include "convert/write_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <cstring>

#include "base/error.h"
#include "base/half.h"
#include "convert/hf_tensor.h"
#include "convert/json_node.h"
#include "convert/test_checkpoint.h"
#include "quant/quantize.h"

namespace foretoken::convert {
namespace {

using ::testing::HasSubstr;

/// Rows of F32 numbers in memory.
TensorSource memory_source(const std::vector<float>& numbers, std::size_t n_cols) {
  TensorSource out;
  out.name = "blk.0.test.weight";
  out.shape = {numbers.size() / n_cols, n_cols};
  out.read_rows = [&numbers, n_cols](std::size_t first, std::size_t n, float* to) {
    std::memcpy(to, numbers.data() + first * n_cols, n * n_cols * sizeof(float));
  };
  return out;
}

std::vector<float> waves(std::size_t n) {
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = std::sin(static_cast<float>(i) * 0.37F);
  return out;
}

/// Bytes [offset, offset + size) of a file.
std::string stretch(const std::string& path, std::size_t offset, std::size_t size) {
  return read_text_file(path).substr(offset, size);
}

TEST(WriteTensor, EncodesForEveryOutputFromOneReading) {
  constexpr std::size_t kCols = 512;
  const std::vector<float> numbers = waves(3000 * kCols);  // several slabs
  TensorSource source = memory_source(numbers, kCols);
  std::atomic<std::size_t> n_read{0};
  const auto read = source.read_rows;
  source.read_rows = [&](std::size_t first, std::size_t n, float* to) {
    n_read += n;
    read(first, n, to);
  };
  const TestFolder folder;
  ThreadPool pool(3);
  OutputFile a(folder / "a");
  OutputFile b(folder / "b");
  const TensorOutput outputs[] = {{quant::Type::Q8_0, {}, &a, 64}, {quant::Type::BF16, {}, &b, 32}};
  write_tensor(source, outputs, pool);
  a.commit();
  b.commit();
  EXPECT_EQ(n_read.load(), 3000U);
  for (const auto& [name, type, offset] :
       {std::tuple("a", quant::Type::Q8_0, 64U), std::tuple("b", quant::Type::BF16, 32U)}) {
    std::string expected(3000 * quant::row_bytes(type, kCols), '\0');
    quant::quantize_rows(type, numbers.data(), 3000, kCols, nullptr,
                         reinterpret_cast<std::byte*>(expected.data()));
    EXPECT_TRUE(stretch(folder / name, offset, expected.size()) == expected) << name;
  }
}

std::string refusal(std::vector<float> numbers, quant::Type type) {
  const TensorSource source = memory_source(numbers, 64);
  const TestFolder folder;
  ThreadPool pool(2);
  OutputFile file(folder / "out");
  const TensorOutput output{type, {}, &file, 0};
  try {
    write_tensor(source, std::span(&output, 1), pool);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

TEST(WriteTensor, RefusesNumbersThatAreNotFinite) {
  std::vector<float> numbers = waves(640);
  numbers[64 * 7 + 5] = std::nanf("");
  EXPECT_THAT(refusal(numbers, quant::Type::BF16),
              HasSubstr("tensor blk.0.test.weight, row 7, column 5"));
  numbers[64 * 7 + 5] = -HUGE_VALF;
  EXPECT_THAT(refusal(numbers, quant::Type::Q8_0), HasSubstr("infinite"));
}

TEST(WriteTensor, RefusesNumbersThatF16OrABlockCannotHold) {
  std::vector<float> numbers = waves(640);
  numbers[70] = 65519.0F;
  EXPECT_EQ(refusal(numbers, quant::Type::F16), "");
  numbers[70] = -65520.0F;
  EXPECT_THAT(refusal(numbers, quant::Type::F16), HasSubstr("row 1, column 6"));
  EXPECT_EQ(refusal(numbers, quant::Type::Q8_0), "");
  numbers[70] = 1e9F;
  EXPECT_THAT(refusal(numbers, quant::Type::Q8_0), HasSubstr("scales of Q8_0"));
  EXPECT_EQ(refusal(numbers, quant::Type::BF16), "");
}

TEST(WriteTensor, RefusesTypesWithoutAnEncoder) {
  const std::vector<float> numbers = waves(256);
  const TensorSource source = memory_source(numbers, 256);
  const TestFolder folder;
  ThreadPool pool(1);
  OutputFile file(folder / "out");
  const TensorOutput output{quant::Type::IQ2_XS, {}, &file, 0};
  EXPECT_THROW(write_tensor(source, std::span(&output, 1), pool), UnsupportedError);
}

TEST(WriteFile, CopiesStretchesOfAFileAsTheyAre) {
  const TestFolder folder;
  std::string bytes(9'000'001, '\0');  // more than two pieces, at an odd place
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 % 251);
  std::ofstream(folder / "in", std::ios::binary) << bytes;
  TensorSource source;
  source.name = "t.weight";
  source.type = quant::Type::BF16;
  source.shape = {9000, 500};
  source.range = FileRange{folder / "in", 1, 9'000'000};
  FileTarget target;
  target.path = folder / "out";
  target.keys.set_u32("k", 1);
  target.tensors.push_back({.source = &source, .type = quant::Type::BF16, .importance = {}});
  ThreadPool pool(2);
  std::size_t last = 0;
  write_file(target, pool, [&](std::size_t done, std::size_t total) {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, file_size(target));
    last = done;
    return true;
  });
  EXPECT_EQ(last, file_size(target));
  const std::string written = read_text_file(folder / "out");
  ASSERT_EQ(written.size(), file_size(target));
  EXPECT_TRUE(written.substr(written.size() - 9'000'000) == bytes.substr(1));
}

TEST(WriteFile, LooksAtCopiesWhereTheSourceWantsIt) {
  const TestFolder folder;
  // A NaN at the very end of more than one stretch, and numbers of the largest exponent before it.
  std::vector<std::uint16_t> numbers(3'000'000, 0x7F7F);
  numbers.back() = 0x7FC0;
  std::ofstream(folder / "in", std::ios::binary)
      .write(reinterpret_cast<const char*>(numbers.data()),
             static_cast<std::streamsize>(2 * numbers.size()));
  TensorSource source;
  source.name = "t.weight";
  source.origin = "in: tensor 'u'";
  source.type = quant::Type::BF16;
  source.shape = {3000, 1000};
  source.range = FileRange{folder / "in", 0, 6'000'000};
  FileTarget target;
  target.path = folder / "out";
  target.tensors.push_back({.source = &source, .type = quant::Type::BF16, .importance = {}});
  ThreadPool pool(2);
  EXPECT_NO_THROW(write_file(target, pool));
  const std::string copied = read_text_file(folder / "out");
  std::filesystem::remove(folder / "out");
  source.check_copies = true;
  try {
    write_file(target, pool);
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("in: tensor 'u'"));
    EXPECT_THAT(error.what(),
                HasSubstr("tensor t.weight, row 2999, column 999: the number is NaN"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  numbers.back() = 0;
  std::fstream(folder / "in", std::ios::binary | std::ios::in | std::ios::out)
      .seekp(5'999'998)
      .write(reinterpret_cast<const char*>(&numbers.back()), 2);
  write_file(target, pool);
  const std::string checked = read_text_file(folder / "out");
  EXPECT_TRUE(checked.substr(0, checked.size() - 2) == copied.substr(0, copied.size() - 2));
}

TEST(WriteFile, AFullDiskLeavesNothing) {
  const std::vector<float> numbers = waves(64 * 4096);
  const TensorSource source = memory_source(numbers, 64);
  const TestFolder folder;
  FileTarget target;
  target.path = folder / "out";
  target.tensors.push_back({.source = &source, .type = quant::Type::F32, .importance = {}});
  ::rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);  // the write is to fail, not the process
  const ::rlimit limit{100'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  ThreadPool pool(2);
  std::string refused;
  try {
    write_file(target, pool);
  } catch (const IoError& error) {
    refused = error.what();
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(refused, HasSubstr(folder / "out"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_NO_THROW(write_file(target, pool));
}

TEST(WriteFile, CancelledWorkLeavesNothing) {
  const std::vector<float> numbers = waves(64 * 64);
  const TensorSource source = memory_source(numbers, 64);
  const TestFolder folder;
  FileTarget target;
  target.path = folder / "out";
  target.tensors.push_back({.source = &source, .type = quant::Type::F16, .importance = {}});
  ThreadPool pool(2);
  EXPECT_THROW(write_file(target, pool, [](std::size_t, std::size_t) { return false; }), Cancelled);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(ReferenceExp, IsWithinOneUnitAndKeepsTheEnds) {
  for (float x = -80.0F; x < 80.0F; x += 0.0137F) {
    const double exact = std::exp(static_cast<double>(x));
    const auto nearest = static_cast<float>(exact);
    EXPECT_NEAR(reference_exp(x), exact, std::nextafter(nearest, HUGE_VALF) - nearest) << x;
  }
  EXPECT_EQ(reference_exp(0.0F), 1.0F);
  EXPECT_EQ(reference_exp(1000.0F), HUGE_VALF);
  EXPECT_EQ(reference_exp(-1000.0F), 0.0F);
  EXPECT_TRUE(std::isnan(reference_exp(std::nanf(""))));
}

}  // namespace
}  // namespace foretoken::convert
