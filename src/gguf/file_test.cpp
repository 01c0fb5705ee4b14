#include "gguf/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "gguf/validate.h"
#include "gguf/writer.h"

namespace foretoken::gguf {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A folder of its own for each test, removed afterwards.
class GgufFile : public ::testing::Test {
 protected:
  GgufFile() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              (std::string("foretoken-gguf-") + info->name() + "-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  ~GgufFile() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const Writer& writer, const std::string& name) const {
    writer.write(path(name));
    return path(name);
  }

  std::filesystem::path folder_;
};

std::vector<std::byte> counted_bytes(std::size_t size) {
  std::vector<std::byte> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i % 64);
  return out;
}

std::vector<std::byte> file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::vector<std::byte> out(text.size());
  std::memcpy(out.data(), text.data(), text.size());
  return out;
}

void set_all_types(Writer& writer) {
  writer.set_string("general.architecture", "qwen35");
  writer.set_u16("t.u16", 65535);
  writer.set_u32("t.u32", 4000000000U);
  writer.set_i32("t.i32", -7);
  writer.set_u64("t.u64", 1ULL << 60);
  writer.set_f32("t.f32", 0.25F);
  writer.set_bool("t.bool", true);
  writer.set_string("t.empty", "");
  const std::array<std::string_view, 3> tokens{"a", "", "caf\xC3\xA9"};
  writer.set_string_array("t.strings", tokens);
  writer.set_i32_array("t.ints", std::array<std::int32_t, 2>{-1, 5});
  writer.set_u32_array("t.uints", std::array<std::uint32_t, 2>{1, 5});
  writer.set_f32_array("t.floats", std::array<float, 3>{0.5F, -1.0F, 3.0F});
  writer.set_bool_array("t.bools", {true, false, true});
  writer.set_i32_array("t.none", {});
}

TEST_F(GgufFile, WrittenValuesAreReadBack) {
  Writer writer;
  set_all_types(writer);
  const File file = File::open(write(writer, "a.gguf"));
  const Metadata& m = file.metadata();
  EXPECT_EQ(m.require_string("general.architecture"), "qwen35");
  EXPECT_EQ(m.find_u16("t.u16"), 65535);
  EXPECT_EQ(m.require_u32("t.u32"), 4000000000U);
  EXPECT_EQ(m.find_i32("t.i32"), -7);
  EXPECT_EQ(m.find_u64("t.u64"), 1ULL << 60);
  EXPECT_EQ(m.require_f32("t.f32"), 0.25F);
  EXPECT_EQ(m.find_bool("t.bool"), true);
  EXPECT_EQ(m.find_string("t.empty"), "");
  EXPECT_THAT(m.find_string_array("t.strings").value(), ElementsAre("a", "", "caf\xC3\xA9"));
  EXPECT_THAT(m.find_i32_array("t.ints").value(), ElementsAre(-1, 5));
  EXPECT_THAT(m.find_u32_array("t.uints").value(), ElementsAre(1U, 5U));
  EXPECT_THAT(m.find_f32_array("t.floats").value(), ElementsAre(0.5F, -1.0F, 3.0F));
  EXPECT_THAT(m.find_bool_array("t.bools").value(), ElementsAre(true, false, true));
  EXPECT_THAT(m.find_i32_array("t.none").value(), IsEmpty());
  EXPECT_FALSE(m.find_string("absent").has_value());
  EXPECT_FALSE(m.find_f32_array("absent").has_value());
  EXPECT_EQ(file.version(), 3);
  EXPECT_THAT(file.tensors(), IsEmpty());
  EXPECT_THAT(file.warnings(), IsEmpty());
}

TEST_F(GgufFile, EntriesKeepFileOrderAndRenderOnOneLine) {
  Writer writer;
  writer.set_u32("b", 1);
  writer.set_string("a", "line\nbreak");
  writer.set_i32_array("c", std::array<std::int32_t, 4>{1, 2, 3, 4});
  writer.set_u32("b", 2);  // set again: moves to the end
  const File file = File::open(write(writer, "a.gguf"));
  const auto entries = file.metadata().entries();
  ASSERT_THAT(entries, SizeIs(3));
  EXPECT_EQ(entries[0].key, "a");
  EXPECT_EQ(entries[0].to_text(), "line\\nbreak");
  EXPECT_EQ(entries[1].to_text(2), "[1, 2, ...]");
  EXPECT_EQ(entries[1].type_text(), "array of i32");
  EXPECT_EQ(entries[2].to_text(), "2");
}

TEST_F(GgufFile, WrongTypesAndAbsentKeysAreNamed) {
  Writer writer;
  set_all_types(writer);
  const File file = File::open(write(writer, "typed.gguf"));
  const auto message = [&](auto&& call) -> std::string {
    try {
      call(file.metadata());
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no error";
  };
  const std::string wrong = message([](const Metadata& m) { m.require_u32("t.i32"); });
  EXPECT_THAT(wrong, HasSubstr("typed.gguf"));
  EXPECT_THAT(wrong, HasSubstr("'t.i32'"));
  EXPECT_THAT(wrong, HasSubstr("u32"));
  EXPECT_THAT(wrong, HasSubstr("is of type i32"));
  EXPECT_THAT(message([](const Metadata& m) { m.find_f32_array("t.ints"); }),
              HasSubstr("array of f32 but is of type array of i32"));
  EXPECT_THAT(message([](const Metadata& m) { m.find_i32_array("t.i32"); }),
              HasSubstr("is of type i32"));
  EXPECT_THAT(message([](const Metadata& m) { m.find_string("t.u32"); }), HasSubstr("string"));
  EXPECT_THAT(message([](const Metadata& m) { m.require_string("absent"); }),
              HasSubstr("'absent' (type string) is missing"));
}

TEST_F(GgufFile, TensorsAreFoundWithShapesOutermostFirst) {
  Writer writer;
  const auto matrix = counted_bytes(3 * 2 * 34);
  const auto vector = counted_bytes(5 * 4);
  writer.add_tensor("m", quant::Type::Q8_0, std::array<std::size_t, 2>{3, 64}, matrix);
  writer.add_tensor("v", quant::Type::F32, std::array<std::size_t, 2>{1, 5}, vector);
  const File file = File::open(write(writer, "t.gguf"));
  ASSERT_THAT(file.tensors(), SizeIs(2));
  const TensorInfo& m = file.require_tensor("m");
  EXPECT_THAT(m.shape, ElementsAre(3U, 64U));
  EXPECT_EQ(m.n_rows(), 3U);
  EXPECT_EQ(m.n_cols(), 64U);
  EXPECT_EQ(m.type, quant::Type::Q8_0);
  EXPECT_EQ(m.size_bytes, matrix.size());
  EXPECT_TRUE(std::ranges::equal(file.data(m), matrix));
  const TensorInfo* v = file.find_tensor("v");
  ASSERT_NE(v, nullptr);
  EXPECT_THAT(v->shape, ElementsAre(5U));  // a leading 1 is not stored
  EXPECT_EQ(v->offset % 32, 0U);
  EXPECT_TRUE(std::ranges::equal(file.data(*v), vector));
  EXPECT_EQ(file.find_tensor("x"), nullptr);
  EXPECT_THROW(file.require_tensor("x"), FormatError);
  file.drop_pages(m);
  EXPECT_TRUE(std::ranges::equal(file.data(m), matrix));  // pages come back
}

TEST_F(GgufFile, SmallestFileHasTheDocumentedBytes) {
  // docs/gguf.md, "A file byte by byte".
  Writer writer;
  writer.set_string("general.architecture", "qwen35");
  const auto data = counted_bytes(68);
  writer.add_tensor("w.weight", quant::Type::Q8_0, std::array<std::size_t, 2>{2, 32}, data);
  const auto bytes = writer.to_bytes();
  ASSERT_EQ(bytes.size(), 128U + 68U + 28U);
  const auto hex = [&](std::size_t from, std::size_t to) {
    std::string out;
    for (std::size_t i = from; i < to; ++i) {
      const char* digits = "0123456789abcdef";
      out += digits[std::to_integer<unsigned>(bytes[i]) >> 4];
      out += digits[std::to_integer<unsigned>(bytes[i]) & 15];
    }
    return out;
  };
  EXPECT_EQ(hex(0, 0x20),
            "47475546030000000100000000000000"
            "01000000000000001400000000000000");
  EXPECT_EQ(hex(0x34, 0x46),
            "080000000600000000000000"
            "7177656e3335");
  EXPECT_EQ(hex(0x46, 0x6a),
            "0800000000000000"
            "772e776569676874"
            "02000000"
            "2000000000000000"
            "0200000000000000");
  EXPECT_EQ(hex(0x6a, 0x80),
            "08000000"
            "0000000000000000"
            "00000000000000000000");
}

TEST_F(GgufFile, RewritingAFileGivesTheSameBytes) {
  Writer writer;
  set_all_types(writer);
  const auto data = counted_bytes(4 * 144);
  writer.add_tensor("a", quant::Type::Q4_K, std::array<std::size_t, 2>{4, 256}, data);
  writer.add_tensor("b", quant::Type::F16, std::array<std::size_t, 1>{7},
                    std::span(data).first(14));
  const std::string first = write(writer, "first.gguf");
  const File file = File::open(first);
  Writer again;
  again.copy_metadata(file.metadata());
  for (const TensorInfo& tensor : file.tensors()) again.add_tensor(file, tensor);
  const std::string second = write(again, "second.gguf");
  EXPECT_EQ(file_bytes(first), file_bytes(second));
}

TEST_F(GgufFile, RewritingTheBundledModelGivesTheSameBytes) {
  // Not written by this code, so this compares two writers.
  const std::string source =
      std::string(FORETOKEN_SOURCE_DIR) + "/models/tiny/tiny-paw-Q4_K_M.gguf";
  const File file = File::open(source);
  Writer again;
  again.copy_metadata(file.metadata());
  for (const TensorInfo& tensor : file.tensors()) again.add_tensor(file, tensor);
  EXPECT_TRUE(again.to_bytes() == file_bytes(source));
}

TEST_F(GgufFile, ProducedTensorsMustHaveTheirSize) {
  Writer writer;
  const std::array<std::size_t, 1> shape{4};
  const auto data = counted_bytes(16);
  writer.add_tensor("good", quant::Type::F32, shape, [&](const Writer::Sink& sink) {
    sink(std::span(data).first(10));
    sink(std::span(data).subspan(10));
  });
  const File file = File::open(write(writer, "good.gguf"));
  EXPECT_TRUE(std::ranges::equal(file.data(file.require_tensor("good")), data));
  writer.add_tensor("short", quant::Type::F32, shape,
                    [&](const Writer::Sink& sink) { sink(std::span(data).first(10)); });
  EXPECT_THROW(writer.write(path("bad.gguf")), RequestError);
  EXPECT_FALSE(std::filesystem::exists(path("bad.gguf")));
}

TEST_F(GgufFile, WriterRefusesWhatAReaderWouldRefuse) {
  Writer writer;
  const std::array<std::size_t, 1> shape{4};
  const auto data = counted_bytes(16);
  EXPECT_THROW(writer.set_u32("", 1), RequestError);
  EXPECT_THROW(writer.set_u32("a\nb", 1), RequestError);
  EXPECT_THROW(writer.add_tensor(std::string(64, 'x'), quant::Type::F32, shape, data),
               RequestError);
  EXPECT_THROW(writer.add_tensor("q", quant::Type::Q8_0, shape, data), RequestError);
  EXPECT_THROW(writer.add_tensor("z", quant::Type::F32, std::array<std::size_t, 1>{0},
                                 std::span<const std::byte>()),
               RequestError);
  EXPECT_THROW(writer.add_tensor("w", quant::Type::F32, shape, std::span(data).first(8)),
               RequestError);
  EXPECT_THROW(writer.add_tensor("o", quant::Type::F32,
                                 std::array<std::size_t, 2>{std::size_t{1} << 40, 1 << 20},
                                 std::span<const std::byte>()),
               RequestError);
  writer.add_tensor("w", quant::Type::F32, shape, data);
  EXPECT_THROW(writer.add_tensor("w", quant::Type::F32, shape, data), RequestError);
}

TEST_F(GgufFile, FailedWriteLeavesTheOldFileAlone) {
  Writer good;
  good.set_u32("a", 1);
  const std::string target = write(good, "model.gguf");
  Writer bad;
  bad.add_tensor("x", quant::Type::F32, std::array<std::size_t, 1>{4},
                 [](const Writer::Sink&) { throw IoError("source lost"); });
  EXPECT_THROW(bad.write(target), IoError);
  EXPECT_EQ(File::open(target).metadata().require_u32("a"), 1U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(GgufFile, WriteIntoAMissingFolderNamesTheReason) {
  const Writer writer;
  try {
    writer.write(path("no/such/folder.gguf"));
    FAIL() << "expected an IoError";
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("folder.gguf: cannot create: No such file"));
  }
}

// Three tensors over three files, named as the tools name them.
class SplitModel : public GgufFile {
 protected:
  void write_part(int index, std::uint16_t no, std::uint16_t count, std::int32_t total,
                  const std::string& tensor) {
    Writer writer;
    writer.set_u16("split.no", no);
    writer.set_i32("split.tensors.count", total);
    writer.set_u16("split.count", count);
    if (index == 0) writer.set_string("general.architecture", "qwen35");
    writer.add_tensor(tensor, quant::Type::F32, std::array<std::size_t, 1>{4}, data_);
    writer.write(part(index));
  }
  std::string part(int index) const {
    return path("m-0000" + std::to_string(index + 1) + "-of-00003.gguf");
  }
  void write_all() {
    write_part(0, 0, 3, 3, "a");
    write_part(1, 1, 3, 3, "b");
    write_part(2, 2, 3, 3, "c");
  }
  std::string error_of(int index) const {
    try {
      File::open(part(index));
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  std::vector<std::byte> data_ = counted_bytes(16);
};

TEST_F(SplitModel, OpensThroughItsFirstFile) {
  write_all();
  const File file = File::open(part(0));
  EXPECT_EQ(file.n_files(), 3);
  ASSERT_THAT(file.tensors(), SizeIs(3));
  EXPECT_EQ(file.require_tensor("c").file_index, 2);
  EXPECT_TRUE(std::ranges::equal(file.data(file.require_tensor("c")), data_));
  EXPECT_EQ(file.path(2), part(2));
}

TEST_F(SplitModel, OtherFilesPointToTheFirst) {
  write_all();
  EXPECT_THAT(error_of(1),
              HasSubstr("file 2 of 3 of a split model; open the first one, " + part(0)));
}

TEST_F(SplitModel, MissingSiblingIsNamed) {
  write_all();
  std::filesystem::remove(part(2));
  EXPECT_THAT(error_of(0), HasSubstr(part(2) + ": cannot open"));
  EXPECT_THAT(error_of(0), HasSubstr("file 3 of 3"));
}

TEST_F(SplitModel, SwappedSiblingIsRefused) {
  write_all();
  write_part(1, 2, 3, 3, "b");
  EXPECT_THAT(error_of(0), HasSubstr("'split.no' is 2"));
}

TEST_F(SplitModel, SiblingOfAnotherModelIsRefused) {
  write_all();
  write_part(2, 2, 4, 3, "c");
  EXPECT_THAT(error_of(0), HasSubstr("'split.count' is 4"));
}

TEST_F(SplitModel, TensorInTwoFilesIsRefused) {
  write_all();
  write_part(2, 2, 3, 3, "a");
  EXPECT_THAT(error_of(0), HasSubstr("tensor 'a' is also in " + part(0)));
}

TEST_F(SplitModel, WrongTotalIsRefused) {
  write_all();
  write_part(0, 0, 3, 4, "a");
  EXPECT_THAT(error_of(0), HasSubstr("'split.tensors.count' is 4 but the 3 files hold 3"));
}

TEST_F(SplitModel, RenamedFirstFileIsRefused) {
  write_all();
  std::filesystem::rename(part(0), path("renamed.gguf"));
  try {
    File::open(path("renamed.gguf"));
    FAIL() << "expected a FormatError";
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("must end in -00001-of-00003.gguf"));
  }
}

TEST_F(SplitModel, NumberBeyondTheCountIsRefused) {
  write_part(0, 3, 3, 1, "a");
  EXPECT_THAT(error_of(0), HasSubstr("'split.no' is 3 although 'split.count' is 3"));
}

TEST_F(SplitModel, MergedFileWithCountZeroIsWhole) {
  write_part(0, 0, 0, 3, "a");
  EXPECT_EQ(File::open(part(0)).n_files(), 1);
}

TEST_F(GgufFile, InvalidScalesAreLocated) {
  Writer writer;
  std::vector<std::byte> data(3 * 2 * 34);
  data[(2 * 2 + 1) * 34 + 1] = std::byte{0x7C};  // row 2, block 1: +infinity
  writer.add_tensor("ok", quant::Type::F32, std::array<std::size_t, 1>{8},
                    std::span(data).first(32));
  writer.add_tensor("bad", quant::Type::Q8_0, std::array<std::size_t, 2>{3, 64}, data);
  const File file = File::open(write(writer, "scales.gguf"));
  EXPECT_FALSE(find_invalid_scale(file, file.require_tensor("ok")).has_value());
  const TensorInfo& bad = file.require_tensor("bad");
  const auto found = find_invalid_scale(file, bad);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->row, 2U);
  EXPECT_EQ(found->block, 1U);
  EXPECT_EQ(found->file_offset, bad.offset + 5 * 34);
  EXPECT_THAT(describe(file, bad, *found),
              HasSubstr("tensor 'bad' holds an infinite or NaN scale"));
}

}  // namespace
}  // namespace foretoken::gguf
