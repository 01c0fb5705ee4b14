#include "gguf/imatrix_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "gguf/file.h"
#include "gguf/writer.h"

namespace foretoken::gguf {
namespace {

ImatrixFile small_file() {
  ImatrixFile file;
  file.datasets = {"a.txt"};
  file.chunk_count = 2;
  file.chunk_size = 4;
  file.entries["blk.1.ffn_up.weight"] = {{0.5F, 0.0F, 1e30F}, 8};
  file.entries["blk.0.attn_q.weight"] = {{1.0F, 2.0F}, 7};
  file.entries["blk.10.ffn_up.weight"] = {{3.0F}, 0};
  return file;
}

std::string temporary(const char* name) { return ::testing::TempDir() + name; }

std::vector<std::byte> bytes_of(const std::string& path) {
  const MappedFile file(path);
  return {file.bytes().begin(), file.bytes().end()};
}

void expect_equal(const ImatrixFile& a, const ImatrixFile& b) {
  EXPECT_EQ(a.datasets, b.datasets);
  EXPECT_EQ(a.chunk_count, b.chunk_count);
  ASSERT_EQ(a.entries.size(), b.entries.size());
  for (const auto& [name, entry] : a.entries) {
    ASSERT_TRUE(b.entries.contains(name)) << name;
    EXPECT_EQ(entry.sums, b.entries.at(name).sums) << name;
    EXPECT_EQ(entry.count, b.entries.at(name).count) << name;
  }
}

TEST(Imatrix, IsReadAsItWasWritten) {
  const std::string path = temporary("imatrix.gguf");
  write_imatrix(path, small_file());
  const ImatrixFile read = read_imatrix(path);
  expect_equal(read, small_file());
  EXPECT_EQ(read.chunk_size, 4U);
  EXPECT_FALSE(read.legacy);
  std::remove(path.c_str());
}

TEST(Imatrix, KeysAndTensorsAreInLlamaImatrixsOrder) {
  const std::string path = temporary("imatrix-order.gguf");
  write_imatrix(path, small_file());
  const File file = File::open(path);
  std::vector<std::string> keys;
  for (const Entry& entry : file.metadata().entries()) keys.emplace_back(entry.key);
  EXPECT_EQ(keys, (std::vector<std::string>{"general.type", "imatrix.datasets",
                                            "imatrix.chunk_count", "imatrix.chunk_size"}));
  EXPECT_EQ(file.metadata().require_string("general.type"), "imatrix");
  std::vector<std::string> names;
  for (const TensorInfo& tensor : file.tensors()) names.push_back(tensor.name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "blk.0.attn_q.weight.in_sum2", "blk.0.attn_q.weight.counts",
                       "blk.1.ffn_up.weight.in_sum2", "blk.1.ffn_up.weight.counts",
                       "blk.10.ffn_up.weight.in_sum2", "blk.10.ffn_up.weight.counts"}));
  EXPECT_EQ(file.tensors()[0].shape, std::vector<std::size_t>{2});
  EXPECT_EQ(file.tensors()[1].shape, std::vector<std::size_t>{1});
  std::remove(path.c_str());
}

TEST(Imatrix, TheOlderFormKeepsMeansTimesChunks) {
  const std::string path = temporary("imatrix.dat");
  write_legacy_imatrix(path, small_file());
  const ImatrixFile read = read_imatrix(path);
  std::remove(path.c_str());
  EXPECT_TRUE(read.legacy);
  EXPECT_EQ(read.chunk_count, 2U);
  EXPECT_EQ(read.datasets, std::vector<std::string>{"a.txt"});
  ASSERT_EQ(read.entries.size(), 2U);  // the one never used is left out
  const ImatrixEntry& entry = read.entries.at("blk.0.attn_q.weight");
  EXPECT_EQ(entry.count, 2U);  // 7 rows are two chunks of 4, rounded up
  EXPECT_EQ(entry.sums, (std::vector<float>{1.0F / 7.0F * 2.0F, 2.0F / 7.0F * 2.0F}));
  EXPECT_EQ(weights_of(entry), (std::vector<float>{1.0F / 7.0F, 2.0F / 7.0F}));
}

TEST(Imatrix, AnEntryWithoutACountHasItsValuesAsWeights) {
  // One entry "w" with ncall 0 and the value 3; nothing after it.
  std::vector<std::byte> bytes;
  const auto put = [&bytes](const void* data, std::size_t size) {
    bytes.resize(bytes.size() + size);
    std::memcpy(bytes.data() + bytes.size() - size, data, size);
  };
  const std::int32_t head[] = {1, 1};
  put(head, sizeof(head));
  put("w", 1);
  const std::int32_t counts[] = {0, 1};
  put(counts, sizeof(counts));
  const float value = 3.0F;
  put(&value, sizeof(value));
  const ImatrixFile read = read_imatrix(bytes, "test");
  EXPECT_EQ(weights_of(read.entries.at("w")), std::vector<float>{3.0F});
  EXPECT_EQ(read.chunk_count, 0U);
}

TEST(Imatrix, AddsUpWhenMerged) {
  ImatrixFile into = small_file();
  ImatrixFile from = small_file();
  from.datasets = {"b.txt"};
  from.entries.erase("blk.1.ffn_up.weight");
  from.entries["blk.2.ffn_up.weight"] = {{5.0F}, 20};
  merge_imatrix(into, from);
  EXPECT_EQ(into.datasets, (std::vector<std::string>{"a.txt", "b.txt"}));
  EXPECT_EQ(into.entries.at("blk.0.attn_q.weight").sums, (std::vector<float>{2.0F, 4.0F}));
  EXPECT_EQ(into.entries.at("blk.0.attn_q.weight").count, 14U);
  EXPECT_EQ(into.entries.at("blk.1.ffn_up.weight").count, 8U);
  EXPECT_EQ(into.entries.at("blk.2.ffn_up.weight").sums, std::vector<float>{5.0F});
  EXPECT_EQ(into.chunk_count, 5U);  // 20 rows of 4
}

TEST(Imatrix, TakesChunksOfTheOlderFormAsRows) {
  const std::string path = temporary("imatrix-merge.dat");
  write_legacy_imatrix(path, small_file());
  ImatrixFile into;
  into.chunk_size = 4;
  merge_imatrix(into, read_imatrix(path));
  std::remove(path.c_str());
  const ImatrixEntry& entry = into.entries.at("blk.0.attn_q.weight");
  EXPECT_EQ(entry.count, 8U);
  EXPECT_EQ(weights_of(entry), (std::vector<float>{1.0F / 7.0F, 2.0F / 7.0F}));
}

TEST(Imatrix, RefusesCountsThatAFileCannotHold) {
  ImatrixFile into;
  into.chunk_size = std::numeric_limits<std::uint32_t>::max();
  ImatrixFile from;
  from.legacy = true;
  from.entries["w"] = {.sums = {1.0F}, .count = std::numeric_limits<std::int32_t>::max()};
  EXPECT_THROW(merge_imatrix(into, from), RequestError);
  EXPECT_TRUE(into.entries.empty());
}

TEST(Imatrix, RefusesToMergeWhatDoesNotFit) {
  ImatrixFile into = small_file();
  ImatrixFile from = small_file();
  from.entries["blk.0.attn_q.weight"].sums.push_back(1.0F);
  EXPECT_THROW(merge_imatrix(into, from), RequestError);
  expect_equal(into, small_file());  // and leaves it as it was
  into.chunk_size = 0;
  EXPECT_THROW(merge_imatrix(into, small_file()), RequestError);
  into = small_file();
  from = small_file();
  into.entries["blk.0.attn_q.weight"].sums[0] = std::numeric_limits<float>::max();
  from.entries["blk.0.attn_q.weight"].sums[0] = std::numeric_limits<float>::max();
  EXPECT_THROW(merge_imatrix(into, from), RequestError);
}

TEST(Imatrix, RefusesToWriteWhatNobodyCouldRead) {
  ImatrixFile file = small_file();
  file.legacy = true;
  EXPECT_THROW(write_imatrix(temporary("no"), file), RequestError);
  EXPECT_THROW(write_imatrix(temporary("no"), ImatrixFile()), RequestError);
  file = small_file();
  file.entries[std::string(56, 'x')] = {{1.0F}, 1};
  EXPECT_THROW(write_imatrix(temporary("no"), file), RequestError);
  file = small_file();
  file.chunk_size = 0;
  EXPECT_THROW(write_legacy_imatrix(temporary("no"), file), RequestError);
}

TEST(Imatrix, EveryTruncationIsRefusedOrHarmless) {
  const std::string path = temporary("imatrix-cut");
  for (const bool legacy : {false, true}) {
    legacy ? write_legacy_imatrix(path, small_file()) : write_imatrix(path, small_file());
    const std::vector<std::byte> whole = bytes_of(path);
    std::size_t n_accepted = 0;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      try {
        const ImatrixFile read = read_imatrix(std::span(whole).first(size), "cut");
        ++n_accepted;  // in the older form, right after the last entry; in the other, padding
        EXPECT_EQ(read.entries.size(), legacy ? 2U : 3U);
      } catch (const FormatError&) {
      }
    }
    EXPECT_LE(n_accepted, legacy ? 1U : 28U);
  }
  std::remove(path.c_str());
}

/// Bytes of an imatrix in GGUF form that a test has spoilt.
class GgufForm {
 public:
  GgufForm() {
    writer.set_string("general.type", "imatrix");
    writer.set_string_array("imatrix.datasets", {});
    writer.set_u32("imatrix.chunk_count", 1);
    writer.set_u32("imatrix.chunk_size", 512);
  }
  void add(const std::string& name, const std::vector<float>& values) {
    const std::size_t n = values.size();
    storage_.push_back(std::make_unique<std::vector<float>>(values));
    writer.add_tensor(name, quant::Type::F32, std::span(&n, 1),
                      std::as_bytes(std::span(*storage_.back())));
  }
  std::string refusal() const {
    const auto bytes = writer.to_bytes();
    try {
      read_imatrix(bytes, "spoilt");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  Writer writer;

 private:
  std::vector<std::unique_ptr<std::vector<float>>> storage_;
};

TEST(Imatrix, NamesWhatIsWrongWithAGgufForm) {
  using ::testing::HasSubstr;
  {
    GgufForm form;
    EXPECT_THAT(form.refusal(), HasSubstr("no entries"));
    form.add("w.in_sum2", {1.0F});
    EXPECT_THAT(form.refusal(), HasSubstr("'w.counts' is missing"));
    form.add("w.counts", {1.0F});
    EXPECT_EQ(form.refusal(), "");
    form.writer.remove("imatrix.chunk_size");
    EXPECT_THAT(form.refusal(), HasSubstr("imatrix.chunk_size"));
  }
  {
    GgufForm form;
    form.add("w.counts", {1.0F});
    EXPECT_THAT(form.refusal(), HasSubstr("w.in_sum2"));
  }
  for (const float bad : {-1.0F, HUGE_VALF, std::nanf("")}) {
    GgufForm sums;
    sums.add("w.in_sum2", {0.0F, bad});
    sums.add("w.counts", {1.0F});
    EXPECT_THAT(sums.refusal(), HasSubstr("column 1"));
    GgufForm counts;
    counts.add("w.in_sum2", {0.0F});
    counts.add("w.counts", {bad});
    EXPECT_THAT(counts.refusal(), HasSubstr("a count of rows"));
  }
  {
    GgufForm experts;
    experts.add("w.in_sum2", {1.0F, 2.0F});
    experts.add("w.counts", {1.0F, 1.0F});
    EXPECT_THAT(experts.refusal(), HasSubstr("dense"));
  }
}

TEST(Imatrix, RefusesHugeCountsWithoutAllocating) {
  // 2^31 - 1 entries; a name of that length; that many values.
  for (const std::vector<std::int32_t>& words : {std::vector<std::int32_t>{0x7FFFFFFF},
                                                 {1, 0x7FFFFFFF},
                                                 {1, 4, 0x41414141, 1, 0x7FFFFFFF},
                                                 {-1},
                                                 {1, -5},
                                                 {1, 4, 0x41414141, 1, -1}}) {
    EXPECT_THROW(read_imatrix(std::as_bytes(std::span(words)), "hostile"), FormatError);
  }
}

TEST(Imatrix, AMissingFileIsAnIoError) {
  EXPECT_THROW(read_imatrix(temporary("does-not-exist")), IoError);
}

}  // namespace
}  // namespace foretoken::gguf
