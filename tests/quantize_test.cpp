// `foretoken quantize` on the tiny model: llama-quantize's bytes, and nothing half done whatever
// happens.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "convert/file_type.h"
#include "gguf/file.h"
#include "gguf/imatrix_file.h"
#include "gguf/writer.h"
#include "program.h"
#include "tiny_model.h"

namespace foretoken::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Words = std::vector<std::string>;

const std::string kPaw = testing::tiny_model("tiny-paw-BF16.gguf");

/// A folder for a test's files, gone afterwards.
class Quantize : public ::testing::Test {
 protected:
  Quantize() : folder_(::testing::TempDir() + "foretoken-quantize-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  }
  ~Quantize() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::vector<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.insert(entry.path().filename());
    return {names.begin(), names.end()};
  }
  static Outcome quantize(const Words& words) {
    Words all = {"quantize", "-t", "2"};
    all.insert(all.end(), words.begin(), words.end());
    return run_program(all);
  }
  /// Requires success; path of the output.
  std::string quantized(const std::string& name, const Words& before, const std::string& input,
                        const std::string& type) const {
    Words words = before;
    words.insert(words.end(), {input, path(name), type});
    const Outcome outcome = quantize(words);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return path(name);
  }

 private:
  std::string folder_;
};

std::string fnv1a(std::span<const std::byte> bytes) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const std::byte byte : bytes) {
    hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3U;
  }
  return fmt::format("{:016x}", hash);
}

struct GoldenTensor {
  std::string name;
  std::string type;
  std::string hash;
};

/// By file type: what llama-quantize made of the same weights.
std::map<std::string, std::vector<GoldenTensor>> read_golden() {
  std::map<std::string, std::vector<GoldenTensor>> out;
  std::ifstream file(testing::source_path("tests/data/quantize/tiny-paw.txt"));
  std::string file_type;
  for (GoldenTensor tensor; file >> file_type >> tensor.name >> tensor.type >> tensor.hash;) {
    out[file_type].push_back(tensor);
  }
  return out;
}

TEST_F(Quantize, TensorsAreLlamaQuantizesByteForByte) {
  const auto golden = read_golden();
  ASSERT_EQ(golden.size(), 8U);
  const gguf::File source = gguf::File::open(kPaw);
  for (const auto& [file_type, tensors] : golden) {
    const gguf::File made = gguf::File::open(quantized(file_type, {}, kPaw, file_type));
    EXPECT_EQ(made.metadata().require_u32("general.file_type"),
              convert::find_file_type(file_type)->id);
    std::set<std::string> quantized_names;
    for (const GoldenTensor& expected : tensors) {
      const gguf::TensorInfo& tensor = made.require_tensor(expected.name);
      EXPECT_EQ(quant::type_info(tensor.type).name, expected.type) << file_type << expected.name;
      EXPECT_EQ(fnv1a(made.data(tensor)), expected.hash) << file_type << " " << expected.name;
      quantized_names.insert(expected.name);
    }
    ASSERT_EQ(made.tensors().size(), source.tensors().size());
    for (const gguf::TensorInfo& tensor : source.tensors()) {
      if (quantized_names.contains(tensor.name)) continue;
      EXPECT_TRUE(
          std::ranges::equal(made.data(made.require_tensor(tensor.name)), source.data(tensor)))
          << file_type << " " << tensor.name;
    }
  }
}

TEST_F(Quantize, WholeFilesAreLlamaQuantizesByteForByte) {
  const std::string source = testing::llama_made_file("graft-BF16.gguf");
  if (source.empty()) GTEST_SKIP() << "this checkout has no files made by llama.cpp beside it";
  for (const char* type :
       {"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K", "IQ4_XS", "IQ4_NL"}) {
    const std::string theirs = testing::llama_made_file(fmt::format("graft-{}.gguf", type));
    ASSERT_FALSE(theirs.empty()) << type;
    EXPECT_TRUE(read_file(quantized(type, {}, source, type)) == read_file(theirs)) << type;
  }
}

TEST_F(Quantize, ThreadsDoNotMatter) {
  const std::string two = read_file(quantized("two", {}, kPaw, "Q4_K_M"));
  const Outcome outcome = run_program({"quantize", kPaw, path("three"), "Q4_K_M", "3"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(read_file(path("three")) == two);
}

TEST_F(Quantize, OutputIsNamedAfterTheTypeWhenLeftOut) {
  fs::copy_file(kPaw, path("in.gguf"));
  const Outcome outcome = quantize({path("in.gguf"), "q4_k"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(files(), ElementsAre("ggml-model-Q4_K_M.gguf", "in.gguf"));
}

TEST_F(Quantize, DryRunTellsTheSizeAndWritesNothing) {
  const Outcome outcome = quantize({"--dry-run", "--json", kPaw, path("out.gguf"), "Q6_K"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(files(), IsEmpty());
  const auto plan = nlohmann::json::parse(outcome.out);
  quantized("out.gguf", {}, kPaw, "Q6_K");
  EXPECT_EQ(plan["file_bytes"].get<std::size_t>(), fs::file_size(path("out.gguf")));
  EXPECT_EQ(plan["tensors"].size(), gguf::File::open(kPaw).tensors().size());
  EXPECT_THAT(quantize({"--dry-run", kPaw, "Q6_K"}).out, HasSubstr("token_embd.weight"));
}

TEST_F(Quantize, CopyChangesOnlyKeys) {
  const std::string out =
      quantized("out.gguf", {"--override-kv", "general.name=str:Renamed"}, kPaw, "COPY");
  const gguf::File source = gguf::File::open(kPaw);
  const gguf::File copy = gguf::File::open(out);
  EXPECT_EQ(copy.metadata().require_string("general.name"), "Renamed");
  EXPECT_EQ(copy.metadata().require_u32("general.file_type"),
            source.metadata().require_u32("general.file_type"));
  for (const gguf::TensorInfo& tensor : source.tensors()) {
    EXPECT_TRUE(
        std::ranges::equal(source.data(tensor), copy.data(copy.require_tensor(tensor.name))))
        << tensor.name;
  }
}

/// The model in two files, cut in the middle.
std::string split_in_two(const std::string& source, const std::string& prefix) {
  const gguf::File file = gguf::File::open(source);
  const auto n = static_cast<std::int32_t>(file.tensors().size());
  for (int part = 0; part < 2; ++part) {
    gguf::Writer writer;
    if (part == 0) writer.copy_metadata(file.metadata());
    writer.set_u16("split.no", static_cast<std::uint16_t>(part));
    writer.set_u16("split.count", 2);
    writer.set_i32("split.tensors.count", n);
    for (std::int32_t i = part * n / 2; i < (part + 1) * n / 2; ++i) {
      writer.add_tensor(file, file.tensors()[static_cast<std::size_t>(i)]);
    }
    writer.write(fmt::format("{}-{:05d}-of-00002.gguf", prefix, part + 1));
  }
  return prefix + "-00001-of-00002.gguf";
}

TEST_F(Quantize, SplitFilesAreJoinedOrKeptApart) {
  const std::string input = split_in_two(kPaw, path("in"));
  const std::string whole = quantized("whole", {}, kPaw, "Q4_K_M");
  EXPECT_TRUE(read_file(quantized("joined", {}, input, "Q4_K_M")) == read_file(whole));
  quantized("apart.gguf", {"--keep-split"}, input, "Q4_K_M");
  EXPECT_THAT(files(),
              ElementsAre("apart-00001-of-00002.gguf", "apart-00002-of-00002.gguf",
                          "in-00001-of-00002.gguf", "in-00002-of-00002.gguf", "joined", "whole"));
  const gguf::File apart = gguf::File::open(path("apart-00001-of-00002.gguf"));
  EXPECT_EQ(apart.n_files(), 2);
  EXPECT_EQ(apart.tensors().size(), gguf::File::open(whole).tensors().size());
}

TEST_F(Quantize, AnImportanceMatrixChangesBytesAndIsNamedInTheFile) {
  gguf::ImatrixFile imatrix;
  imatrix.datasets = {"text.txt"};
  imatrix.chunk_count = 1;
  imatrix.chunk_size = 512;
  const gguf::File source = gguf::File::open(kPaw);
  for (const gguf::TensorInfo& tensor : source.tensors()) {
    if (tensor.name.find("ffn_up") == std::string::npos) continue;
    gguf::ImatrixEntry entry{std::vector<float>(tensor.n_cols()), 512};
    for (std::size_t i = 0; i < entry.sums.size(); ++i) {
      entry.sums[i] = static_cast<float>(1 + (37 * i) % 101);
    }
    imatrix.entries[tensor.name] = entry;
  }
  gguf::write_imatrix(path("imatrix.gguf"), imatrix);
  const Words with = {"--imatrix", path("imatrix.gguf")};
  const gguf::File plain = gguf::File::open(quantized("plain", {}, kPaw, "Q4_K_M"));
  const gguf::File weighted = gguf::File::open(quantized("weighted", with, kPaw, "Q4_K_M"));
  for (const gguf::TensorInfo& tensor : plain.tensors()) {
    const bool same =
        std::ranges::equal(plain.data(tensor), weighted.data(weighted.require_tensor(tensor.name)));
    EXPECT_EQ(same, !imatrix.entries.contains(tensor.name)) << tensor.name;
  }
  EXPECT_EQ(weighted.metadata().require_u32("quantize.imatrix.entries_count"),
            imatrix.entries.size());
  EXPECT_EQ(weighted.metadata().require_string("quantize.imatrix.dataset"), "text.txt");
}

TEST_F(Quantize, ItsOwnInputIsNoOutput) {
  fs::copy_file(kPaw, path("in.gguf"));
  fs::create_symlink(path("in.gguf"), path("soft.gguf"));
  fs::create_hard_link(path("in.gguf"), path("hard.gguf"));
  for (const char* out : {"in.gguf", "soft.gguf", "hard.gguf"}) {
    const Outcome outcome = quantize({path("in.gguf"), path(out), "Q8_0"});
    EXPECT_EQ(outcome.status, 1) << out;
    EXPECT_THAT(outcome.err, HasSubstr("the input itself"));
  }
  EXPECT_TRUE(read_file(path("in.gguf")) == read_file(kPaw));
}

TEST_F(Quantize, AWrongCommandLineHasStatus2) {
  struct Case {
    Words words;
    const char* says;
  };
  const std::vector<Case> cases = {
      {{kPaw}, "no file type"},
      {{}, "IN"},
      {{kPaw, "out.gguf", "Q8_0", "2", "more"}, "more"},
      {{kPaw, "out.gguf", "Q9"}, "no file type"},
      {{kPaw, "out.gguf"}, "no file type"},
      {{kPaw, "IQ2_XXS"}, "IQ2_XXS files are not made here"},
      {{kPaw, "Q8_0", "many"}, "number of threads"},
      {{"--tensor-type", "ffn", kPaw, "Q8_0"}, "PATTERN=TYPE"},
      {{"--output-tensor-type", "q9", kPaw, "Q8_0"}, "--output-tensor-type"},
      {{"--override-kv", "a=b", kPaw, "Q8_0"}, "KEY=TYPE:VALUE"},
      {{"--prune-layers", "1", kPaw, "Q8_0"}, "--prune-layers"},
      {{"--include-weights", "a", "--exclude-weights", "b", kPaw, "Q8_0"}, "excludes"},
  };
  for (const Case& item : cases) {
    const Outcome outcome = quantize(item.words);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(item.says));
  }
}

TEST_F(Quantize, QuantizingTwiceNeedsToBeAllowed) {
  const std::string q8 = quantized("q8.gguf", {}, kPaw, "Q8_0");
  const Outcome refused = quantize({q8, path("q4.gguf"), "Q4_0"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("--allow-requantize"));
  const Outcome planned = quantize({"--dry-run", q8, path("q4.gguf"), "Q4_0"});
  EXPECT_EQ(planned.status, 0);
  EXPECT_THAT(planned.out, HasSubstr("would fail"));
  EXPECT_THAT(files(), ElementsAre("q8.gguf"));
  quantized("q4.gguf", {"--allow-requantize"}, q8, "Q4_0");
  EXPECT_THAT(files(), ElementsAre("q4.gguf", "q8.gguf"));
}

/// A copy of the model with one element of a tensor replaced by a NaN of that type.
void copy_with_nan(const std::string& source, const std::string& to, const std::string& tensor) {
  const gguf::File file = gguf::File::open(source);
  const gguf::TensorInfo& info = file.require_tensor(tensor);
  fs::copy_file(source, to);
  fs::permissions(to, fs::perms::owner_all);
  std::fstream stream(to, std::ios::in | std::ios::out | std::ios::binary);
  const std::size_t element = info.size_bytes / info.n_elements();
  stream.seekp(static_cast<std::streamoff>(info.offset + 3 * element));
  const char nan[] = "\xFF\xFF\xFF\x7F";  // as F32; its upper half is one as BF16
  stream.write(&nan[4 - element], static_cast<std::streamsize>(element));
}

TEST_F(Quantize, NanIsRefusedInEncodedAndInCopiedTensors) {
  for (const std::string tensor : {"blk.0.ffn_up.weight", "output_norm.weight"}) {
    const std::string input = path(tensor + ".gguf");
    copy_with_nan(kPaw, input, tensor);
    for (const char* type : {"Q8_0", "COPY"}) {
      const Outcome outcome = quantize({input, path("out.gguf"), type});
      EXPECT_EQ(outcome.status, 1) << tensor << " " << type;
      EXPECT_THAT(outcome.err, HasSubstr(tensor));
      EXPECT_FALSE(fs::exists(path("out.gguf")));
    }
  }
}

TEST_F(Quantize, TruncatedInputIsRefused) {
  fs::copy_file(kPaw, path("in.gguf"));
  fs::permissions(path("in.gguf"), fs::perms::owner_all);
  for (const std::size_t size : {fs::file_size(kPaw) - 4096, std::size_t{1000}, std::size_t{0}}) {
    fs::resize_file(path("in.gguf"), size);
    const Outcome outcome = quantize({path("in.gguf"), path("out.gguf"), "Q8_0"});
    EXPECT_EQ(outcome.status, 1) << size;
    EXPECT_THAT(outcome.err, HasSubstr("in.gguf"));
  }
  EXPECT_THAT(files(), ElementsAre("in.gguf"));
}

TEST_F(Quantize, AFullDiskLeavesNothing) {
  RunningProgram program({"quantize", kPaw, path("out.gguf"), "Q8_0"},
                         {.input = "", .out_path = "", .max_file_bytes = 1 << 20});
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("out.gguf"));
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(Quantize, KilledAtAnyMomentItLeavesNothingOrAWholeFile) {
  const std::string whole = read_file(quantized("whole.gguf", {}, kPaw, "Q4_K_M"));
  for (int ms = 0; ms < 60; ms += 6) {
    {
      RunningProgram program({"quantize", "-t", "1", kPaw, path("out.gguf"), "Q4_K_M"});
      std::this_thread::sleep_for(std::chrono::milliseconds(ms));
      program.send(SIGKILL);
      program.wait();
    }
    if (!fs::exists(path("out.gguf"))) continue;
    EXPECT_TRUE(read_file(path("out.gguf")) == whole) << ms;
    fs::remove(path("out.gguf"));
  }
}

TEST_F(Quantize, InterruptedItSaysSoAndLeavesNothing) {
  // Q2_K of all weights by one thread takes long enough to be interrupted; where it does not, the
  // file is there and whole.
  RunningProgram program({"quantize", "-t", "1", kPaw, path("out.gguf"), "Q2_K"});
  std::this_thread::sleep_for(std::chrono::milliseconds(40));
  program.send(SIGINT);
  const Outcome outcome = program.wait();
  if (outcome.status == 0) {
    EXPECT_THAT(files(), ElementsAre("out.gguf"));
    return;
  }
  EXPECT_THAT(outcome.status, ::testing::AnyOf(130, 128 + SIGINT));
  EXPECT_THAT(files(), IsEmpty());
}

}  // namespace
}  // namespace foretoken::tests
