// Files that lie: cut short, with absurd counts, wrapped shapes, wrong types, overlapping data.
// Each must give one FormatError that names the file and the thing, never a crash, a large
// allocation or another exception; and through the program, status 1 and one line on standard
// error. The rules are those of docs/gguf.md, "What is refused".
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/output_file.h"
#include "gguf/file.h"
#include "gguf/validate.h"
#include "gguf/writer.h"

namespace foretoken {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kName = "hostile.gguf";

// Bytes put together without the writer's checks.
class Bytes {
 public:
  Bytes& raw(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Bytes& u8(unsigned value) {
    bytes_.push_back(static_cast<std::byte>(value));
    return *this;
  }
  Bytes& u32(std::uint32_t value) { return number(value); }
  Bytes& u64(std::uint64_t value) { return number(value); }
  Bytes& text(std::string_view value) { return u64(value.size()).raw(value); }
  Bytes& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  Bytes& pad(std::size_t alignment = 32) {
    return zeros((alignment - bytes_.size() % alignment) % alignment);
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  template <class T>
  Bytes& number(T value) {
    std::array<std::byte, sizeof(T)> raw_bytes;
    std::memcpy(raw_bytes.data(), &value, sizeof(T));
    bytes_.insert(bytes_.end(), raw_bytes.begin(), raw_bytes.end());
    return *this;
  }
  std::vector<std::byte> bytes_;
};

Bytes header(std::uint64_t n_tensors, std::uint64_t n_keys, std::uint32_t version = 3) {
  Bytes out;
  out.raw("GGUF").u32(version).u64(n_tensors).u64(n_keys);
  return out;
}

// A key whose value is still to come.
Bytes with_key(std::string_view key, std::uint32_t type) {
  Bytes out = header(0, 1);
  out.text(key).u32(type);
  return out;
}

// One tensor with the given dimensions (fastest first), then a little data.
Bytes with_tensor(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type,
                  std::uint64_t offset = 0, std::size_t n_data = 64) {
  Bytes out = header(1, 0);
  out.text(name).u32(static_cast<std::uint32_t>(dims.size()));
  for (const std::uint64_t length : dims) out.u64(length);
  out.u32(type).u64(offset).pad().zeros(n_data);
  return out;
}

// F32 vectors of `length` elements at the given offsets, in a data section of `n_data` bytes.
Bytes with_tensors_at(const std::vector<std::uint64_t>& offsets, std::uint64_t length,
                      std::size_t n_data, std::string_view second_name = "t1") {
  Bytes out = header(offsets.size(), 0);
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const std::string name = i == 1 ? std::string(second_name) : "t" + std::to_string(i);
    out.text(name).u32(1).u64(length).u32(0).u64(offsets[i]);
  }
  out.pad().zeros(n_data);
  return out;
}

struct Case {
  std::string name;
  Bytes file;
  std::string expected;  // part of the error
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

constexpr std::uint64_t kHuge = std::uint64_t{1} << 60;

std::vector<Case> header_cases() {
  return {
      {"Empty", Bytes(), "0 bytes are too few"},
      {"HeaderCutOff", Bytes().raw("GGUF").u32(3).u64(0), "16 bytes are too few"},
      {"WrongMagic", Bytes().raw("GGML").zeros(40), "expected the magic 'GGUF', found 'GGML'"},
      {"LfsPointer", Bytes().raw("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"},
      {"HtmlPage", Bytes().raw("<!DOCTYPE html><html></html>"), "HTML page"},
      {"ControlBytesInMagic", Bytes().raw("\x1B[2J").zeros(40), "found '\\x1b[2J'"},
      {"Version0", header(0, 0, 0), "version 0 is not supported"},
      {"Version1", header(0, 0, 1), "version 1 is not supported"},
      {"Version4", header(0, 0, 4), "version 4 is not supported"},
      {"BigEndian", header(0, 0, 0x03000000), "big-endian"},
      {"HugeKeyCount", header(0, kHuge), "announces 1152921504606846976 keys"},
      {"HugeTensorCount", header(kHuge, 0), "announces 1152921504606846976 tensors"},
      {"AllOnesCounts", header(~0ULL, ~0ULL), "announces 18446744073709551615 keys"},
      {"KeyCountBeyondTheBytes", header(0, 10).zeros(13 * 10), "announces 10 keys"},
      {"TensorCountBeyondTheBytes", header(10, 0).zeros(32 * 10), "announces 10 tensors"},
  };
}

std::vector<Case> key_cases() {
  return {
      {"EmptyKey", header(0, 1).text("").u32(0).u8(1).zeros(8), "key 0 has an empty name"},
      {"HugeKeyLength", header(0, 1).u64(kHuge).zeros(20), "key 0 needs 1152921504606846976 bytes"},
      {"KeyTooLong", header(0, 1).text(std::string(70000, 'k')).u32(0).u8(1), "at most 65535"},
      {"NulInKey", header(0, 1).text(std::string_view("a\0b", 3)).u32(0).u8(1),
       "control byte 0x00"},
      {"EscapeInKey", header(0, 1).text("a\x1B[2Jb").u32(0).u8(1), "'a\\x1b[2Jb'"},
      {"DuplicateKey", header(0, 2).text("a").u32(0).u8(1).text("a").u32(0).u8(2),
       "key 'a' appears twice"},
      {"UnknownValueType", with_key("a", 13).zeros(8), "the value type of key 'a' is 13"},
      {"AllOnesValueType", with_key("a", ~0U).zeros(8), "the value type of key 'a' is 4294967295"},
      {"ValueCutOff", with_key("a", 10).zeros(7), "the value of key 'a' needs 8 bytes but 7"},
      {"HugeString", with_key("a", 8).u64(kHuge), "the value of key 'a' needs 1152921504606846976"},
      {"AllOnesString", with_key("a", 8).u64(~0ULL), "needs 18446744073709551615 bytes but 0"},
      {"ArrayOfArrays", with_key("a", 9).u32(9).u64(1).zeros(16), "key 'a' is an array of arrays"},
      {"UnknownElementType", with_key("a", 9).u32(77).u64(1), "the element type of key 'a' is 77"},
      {"HugeArray", with_key("a", 9).u32(0).u64(kHuge), "announces 1152921504606846976 elements"},
      {"WrappingArray", with_key("a", 9).u32(10).u64(1ULL << 61).zeros(16),
       "announces 2305843009213693952 elements"},
      {"HugeStringArray", with_key("a", 9).u32(8).u64(kHuge).zeros(16), "elements of at least 8"},
      {"StringInArrayCutOff", with_key("a", 9).u32(8).u64(2).text("ok").u64(5).raw("no"),
       "a string of the array of key 'a' needs 5 bytes but 2"},
      {"AlignmentOfWrongType", with_key("general.alignment", 5).u32(32),
       "'general.alignment' must be of type u32 but is of type i32"},
      {"AlignmentZero", with_key("general.alignment", 4).u32(0), "'general.alignment' is 0"},
      {"AlignmentNotAPowerOfTwo", with_key("general.alignment", 4).u32(48), "is 48"},
      {"AlignmentTooSmall", with_key("general.alignment", 4).u32(4), "is 4"},
      {"AlignmentTooLarge", with_key("general.alignment", 4).u32(1U << 31), "is 2147483648"},
  };
}

std::vector<Case> tensor_cases() {
  const std::uint64_t p32 = 1ULL << 32;
  return {
      {"EmptyTensorName", with_tensor("", {4}, 0).zeros(8), "tensor 0 has an empty name"},
      {"TensorNameTooLong", with_tensor(std::string(64, 'n'), {4}, 0), "at most 63"},
      {"NewlineInTensorName", with_tensor("a\nb", {4}, 0), "'a\\nb'"},
      {"NoDimensions", with_tensor("w", {}, 0), "tensor 'w' has 0 dimensions"},
      {"FiveDimensions", with_tensor("w", {1, 1, 1, 1, 1}, 0), "tensor 'w' has 5 dimensions"},
      {"HugeDimensionCount", header(1, 0).text("w").u32(~0U).zeros(64),
       "has 4294967295 dimensions"},
      {"ZeroDimension", with_tensor("w", {4, 0}, 0), "dimension 1 is 0"},
      {"NegativeDimension", with_tensor("w", {~0ULL}, 0), "dimension 0 is -1"},
      // Products that wrap to zero in 64 bits.
      {"ShapeWraps32x32", with_tensor("w", {p32, p32}, 0), "more than 2^48 elements"},
      {"ShapeWraps62x6", with_tensor("w", {1ULL << 62, 64}, 0), "more than 2^48 elements"},
      {"ShapeWraps40x20x4", with_tensor("w", {1ULL << 40, 1ULL << 20, 16}, 0),
       "more than 2^48 elements"},
      {"ShapeBeyondTheFile", with_tensor("w", {1ULL << 40}, 0), "tensor 'w' ends at offset"},
      {"RemovedType4", with_tensor("w", {32}, 4), "tensor 'w' has type id 4; it is unknown"},
      {"RemovedType31", with_tensor("w", {32}, 31), "type id 31"},
      {"RemovedType38", with_tensor("w", {32}, 38), "type id 38"},
      {"UnknownType43", with_tensor("w", {32}, 43), "type id 43; it is unknown"},
      {"ForkType144", with_tensor("w", {256}, 144), "ik_llama.cpp"},
      {"AllOnesType", with_tensor("w", {32}, ~0U), "type id 4294967295"},
      {"RowNotWholeBlocks", with_tensor("w", {48}, 8),
       "rows of 48 elements; they must be a multiple"},
      {"RowNotWholeSuperBlocks", with_tensor("w", {128, 2}, 12), "a multiple of 256"},
      {"DuplicateTensor", with_tensors_at({0, 32}, 8, 64, "t0"), "tensor 't0' appears twice"},
      {"FirstTensorNotAtZero", with_tensors_at({32}, 8, 64),
       "'t0' lies at 32 of the data section but 0"},
      {"GapBetweenTensors", with_tensors_at({0, 64}, 8, 96),
       "'t1' lies at 64 of the data section but 32"},
      {"OverlappingTensors", with_tensors_at({0, 0}, 8, 64),
       "'t1' lies at 0 of the data section but 32"},
      {"UnalignedTensor", with_tensors_at({0, 36}, 8, 96), "'t1' lies at 36"},
      {"OffsetBeyondTheFile", with_tensor("w", {8}, 0, ~0ULL - 31), "beyond the end of the file"},
      {"DataMissing", with_tensor("w", {32}, 0, 0, 0),
       "ends at offset 192 but the file has 64 bytes"},
      {"LastByteMissing", with_tensor("w", {32}, 0, 0, 127),
       "ends at offset 192 but the file has 191"},
  };
}

std::vector<Case> all_cases() {
  std::vector<Case> out = header_cases();
  for (Case& c : key_cases()) out.push_back(std::move(c));
  for (Case& c : tensor_cases()) out.push_back(std::move(c));
  // Split models: the siblings are looked for only when the file has a path (see below), so that
  // here the three keys themselves are wrong.
  out.push_back({"SplitNumberMissing", with_key("split.count", 2).u8(3).u8(0),
                 "key 'split.no' is missing although 'split.count' is 3"});
  out.push_back({"SplitCountOfWrongType", with_key("split.count", 5).u32(3),
                 "'split.count' must be of type u16 but is of type i32"});
  return out;
}

// Opens bytes that end exactly at the end of a heap block, where a sanitizer sees one byte more.
gguf::File open_exact(const std::vector<std::byte>& bytes, const gguf::OpenOptions& options = {}) {
  return gguf::File::from_memory(bytes, kName, options);
}

// Touches everything an opened file offers.
void read_all(const gguf::File& file) {
  std::size_t total = 0;
  for (const gguf::Entry& entry : file.metadata().entries()) total += entry.to_text(3).size();
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    for (const std::byte b : file.data(tensor)) total += std::to_integer<std::size_t>(b);
    static_cast<void>(gguf::find_invalid_scale(file, tensor));
  }
  ASSERT_GE(total, 0U);
}

class HostileGguf : public ::testing::TestWithParam<Case> {};

TEST_P(HostileGguf, IsRefusedInWords) {
  try {
    open_exact(GetParam().file.bytes());
    FAIL() << "was opened";
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), StartsWith(std::string(kName) + ": "));
    EXPECT_THAT(error.what(), HasSubstr(GetParam().expected));
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
  }
}

struct Outcome {
  int status = -1;
  std::string standard_error;
};

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A folder per process: ctest may run several of these at once.
class ScratchFolder {
 public:
  ScratchFolder()
      : path_(std::filesystem::temp_directory_path() /
              ("foretoken-hostile-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string write_bytes(const ScratchFolder& folder, const std::string& name,
                        std::span<const std::byte> bytes) {
  OutputFile file(folder.file(name));
  file.write(bytes);
  file.commit();
  return folder.file(name);
}

// Runs "foretoken <arguments>" where {} in the arguments stands for the file.
Outcome run_program(const ScratchFolder& folder, std::string_view arguments,
                    const std::string& path) {
  const std::string errors = folder.file("stderr.txt");
  const std::string command =
      fmt::format("'{}' {} </dev/null >/dev/null 2>'{}'", FORETOKEN_PROGRAM,
                  fmt::format(fmt::runtime(arguments), "'" + path + "'"), errors);
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(errors)};
}

Outcome run_inspect(const ScratchFolder& folder, const std::string& path) {
  return run_program(folder, "inspect --check {}", path);
}

void expect_one_sentence(const Outcome& outcome, const std::string& expected) {
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.standard_error, StartsWith("foretoken: "));
  EXPECT_THAT(outcome.standard_error, HasSubstr(expected));
  EXPECT_EQ(std::count(outcome.standard_error.begin(), outcome.standard_error.end(), '\n'), 1)
      << outcome.standard_error;
}

TEST_P(HostileGguf, MakesTheProgramFailWithOneLine) {
  const ScratchFolder folder;
  const std::string path = write_bytes(folder, kName, GetParam().file.bytes());
  for (const char* arguments : {"inspect --check {}", "run -m {} -p hello -n 1"}) {
    const Outcome outcome = run_program(folder, arguments, path);
    expect_one_sentence(outcome, GetParam().expected);
    EXPECT_THAT(outcome.standard_error, HasSubstr(path));
  }
}

INSTANTIATE_TEST_SUITE_P(Files, HostileGguf, ::testing::ValuesIn(all_cases()),
                         [](const auto& test) { return test.param.name; });

// A file with every kind of value and three tensors, about 1 KB.
std::vector<std::byte> good_file() {
  gguf::Writer writer;
  writer.set_string("general.architecture", "qwen35");
  writer.set_u16("a.u16", 1);
  writer.set_u64("a.u64", 2);
  writer.set_f32("a.f32", 0.5F);
  writer.set_bool("a.bool", true);
  const std::array<std::string_view, 3> strings{"one", "", "three"};
  writer.set_string_array("a.strings", strings);
  writer.set_i32_array("a.ints", std::array<std::int32_t, 3>{1, 2, 3});
  writer.set_bool_array("a.bools", {true, false});
  const std::vector<std::byte> data(144);
  writer.add_tensor("a.weight", quant::Type::F32, std::array<std::size_t, 2>{2, 4},
                    std::span(data).first(32));
  writer.add_tensor("b.weight", quant::Type::Q8_0, std::array<std::size_t, 2>{2, 32},
                    std::span(data).first(68));
  writer.add_tensor("c.weight", quant::Type::Q4_K, std::array<std::size_t, 1>{256}, data);
  return writer.to_bytes();
}

TEST(TruncatedGguf, EveryLengthIsRefusedButTheLastPadding) {
  const auto whole = good_file();
  const auto file = open_exact(whole);
  const gguf::TensorInfo& last = file.tensors().back();
  const std::size_t data_end = last.offset + last.size_bytes;
  ASSERT_LT(data_end, whole.size());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::vector<std::byte> part(whole.begin(),
                                      whole.begin() + static_cast<std::ptrdiff_t>(length));
    if (length >= data_end) {
      EXPECT_EQ(open_exact(part).warnings().size(), 1U) << length;
      continue;
    }
    try {
      open_exact(part);
      ADD_FAILURE() << "opened " << length << " of " << whole.size() << " bytes";
    } catch (const FormatError& error) {
      EXPECT_THAT(error.what(), StartsWith(std::string(kName) + ": ")) << length;
    }
  }
}

TEST(TruncatedGguf, TheProgramRefusesCutFilesWithOneLine) {
  const ScratchFolder folder;
  const auto whole = good_file();
  const auto tensors_end = open_exact(whole).tensors().front().offset;
  // Within the header, the first key, the middle of the keys, the tensor list, the data.
  for (const std::size_t length :
       {std::size_t{10}, std::size_t{24}, std::size_t{40}, std::size_t{200}, tensors_end - 60,
        tensors_end, whole.size() - 60}) {
    const std::string path = write_bytes(folder, kName, std::span(whole).first(length));
    expect_one_sentence(run_inspect(folder, path), path);
  }
}

TEST(DamagedGguf, EveryChangedByteIsReadOrRefused) {
  const auto whole = good_file();
  int refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const unsigned value : {0x00U, 0x01U, 0x7FU, 0x80U, 0xFFU}) {
      auto damaged = whole;
      damaged[at] = static_cast<std::byte>(value);
      for (const bool lenient : {false, true}) {
        try {
          read_all(open_exact(damaged, {.lenient = lenient}));
        } catch (const FormatError&) {
          ++refused;
        }
      }
    }
  }
  EXPECT_GT(refused, 1000);  // it does look at what was changed
}

TEST(LenientGguf, AcceptsGapsAndDisorderWithAWarning) {
  const auto gap = with_tensors_at({0, 64}, 8, 96);
  EXPECT_THROW(open_exact(gap.bytes()), FormatError);
  const gguf::File file = open_exact(gap.bytes(), {.lenient = true});
  ASSERT_EQ(file.warnings().size(), 1U);
  EXPECT_THAT(file.warnings()[0], HasSubstr("1 gaps between the tensors"));
  const auto swapped = with_tensors_at({32, 0}, 8, 64);
  EXPECT_THAT(open_exact(swapped.bytes(), {.lenient = true}).warnings()[0], HasSubstr("order"));
}

TEST(LenientGguf, StillRefusesOverlapMisalignmentAndMissingData) {
  const auto error_of = [](const Bytes& bytes) -> std::string {
    try {
      open_exact(bytes.bytes(), {.lenient = true});
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(error_of(with_tensors_at({0, 0}, 8, 64)), HasSubstr("'t0' and 't1' overlap at 0"));
  EXPECT_THAT(error_of(with_tensors_at({0, 32}, 16, 128)), HasSubstr("overlap at 32"));
  EXPECT_THAT(error_of(with_tensors_at({0, 36}, 8, 96)), HasSubstr("not a multiple"));
  EXPECT_THAT(error_of(with_tensors_at({0, 64}, 8, 95)), HasSubstr("ends at offset"));
}

TEST(OddGguf, ToleratedOdditiesAreWarnedAbout) {
  const auto trailing = with_tensor("w", {8}, 0, 0, 32 + 5);
  EXPECT_THAT(open_exact(trailing.bytes()).warnings()[0], HasSubstr("5 bytes follow"));
  const auto odd_bool = with_key("a", 7).u8(2);
  const gguf::File file = open_exact(odd_bool.bytes());
  EXPECT_THAT(file.warnings()[0], HasSubstr("key 'a' holds a bool other than 0 and 1"));
  EXPECT_EQ(file.metadata().find_bool("a"), true);
  EXPECT_EQ(open_exact(header(0, 0, 2).bytes()).version(), 2);
}

TEST(HostilePaths, TheProgramNamesWhatItCannotRead) {
  const ScratchFolder folder;
  expect_one_sentence(run_inspect(folder, folder.file("absent.gguf")), "cannot open: No such file");
  expect_one_sentence(run_inspect(folder, folder.file("")), "Is a directory");
  expect_one_sentence(run_inspect(folder, "/dev/null"), "not a regular file");
}

TEST(HostilePaths, AMissingSiblingIsNamed) {
  const ScratchFolder folder;
  gguf::Writer writer;
  writer.set_u16("split.no", 0);
  writer.set_u16("split.count", 2);
  writer.set_i32("split.tensors.count", 0);
  const std::string first = folder.file("m-00001-of-00002.gguf");
  writer.write(first);
  expect_one_sentence(run_inspect(folder, first), "m-00002-of-00002.gguf: cannot open");
}

TEST(HostileNumbers, CheckFindsAnInfiniteScale) {
  const ScratchFolder folder;
  auto bytes = good_file();
  const gguf::TensorInfo tensor = open_exact(bytes).require_tensor("b.weight");
  bytes[tensor.offset + 34 + 1] = std::byte{0x7C};
  const std::string path = write_bytes(folder, kName, bytes);
  expect_one_sentence(run_inspect(folder, path),
                      "tensor 'b.weight' holds an infinite or NaN scale in row 1, block 0");
}

}  // namespace
}  // namespace foretoken
