#include "convert/split_files.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "gguf/file.h"

namespace foretoken::convert {
namespace {

/// A target whose tensors "t0", "t1"... are F32 vectors of these lengths, and what they borrow.
struct Model {
  std::vector<TensorSource> sources;
  FileTarget target;

  explicit Model(const std::vector<std::size_t>& lengths) : sources(lengths.size()) {
    target.path = "folder/model.gguf";
    target.keys.set_string("general.name", "Tiny");
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      sources[i].name = fmt::format("t{}", i);
      sources[i].shape = {lengths[i]};
      target.tensors.push_back({.source = &sources[i], .type = quant::Type::F32, .importance = {}});
    }
  }
};

/// "t0 t1|t2": the tensors of each file.
std::string contents(const std::vector<FileTarget>& files) {
  std::string out;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (i > 0) out += '|';
    for (std::size_t t = 0; t < files[i].tensors.size(); ++t) {
      out += (t > 0 ? " " : "") + files[i].tensors[t].source->name;
    }
  }
  return out;
}

TEST(SplitFiles, OneFileWithinTheLimitsStaysAsItIs) {
  for (const SplitLimits& limits :
       {SplitLimits{}, SplitLimits{.max_tensors = 3}, SplitLimits{.max_bytes = 12}}) {
    const auto files = split_target(Model({1, 1, 1}).target, limits);
    ASSERT_EQ(files.size(), 1U);
    EXPECT_EQ(files[0].path, "folder/model.gguf");
    EXPECT_EQ(files[0].tensors.size(), 3U);
    const auto bytes = files[0].keys.to_bytes();
    EXPECT_FALSE(gguf::File::from_memory(bytes, "one").metadata().has("split.no"));
  }
}

TEST(SplitFiles, FillsFilesInOrder) {
  const Model model({1, 2, 3, 4, 5});
  EXPECT_EQ(contents(split_target(model.target, {.max_tensors = 2})), "t0 t1|t2 t3|t4");
  EXPECT_EQ(contents(split_target(model.target, {.max_tensors = 1})), "t0|t1|t2|t3|t4");
  // Bytes are four times the lengths.
  EXPECT_EQ(contents(split_target(model.target, {.max_bytes = 24})), "t0 t1 t2|t3|t4");
  EXPECT_EQ(contents(split_target(model.target, {.max_bytes = 23})), "t0 t1|t2|t3|t4");
  EXPECT_EQ(contents(split_target(model.target, {.max_tensors = 2, .max_bytes = 28})),
            "t0 t1|t2 t3|t4");
}

TEST(SplitFiles, ALargeTensorStandsAlone) {
  const Model model({1, 100, 1, 1});
  EXPECT_EQ(contents(split_target(model.target, {.max_bytes = 8})), "t0|t1|t2 t3");
}

TEST(SplitFiles, TheFirstFileMayHoldTheKeysAlone) {
  const Model model({1, 1, 1});
  EXPECT_EQ(contents(split_target(model.target, {.max_tensors = 2, .keys_alone = true})),
            "|t0 t1|t2");
}

TEST(SplitFiles, NamesAndNumbersSayWhichFileItIs) {
  const Model model({1, 1, 1});
  const auto files = split_target(model.target, {.max_tensors = 2});
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].path, "folder/model-00001-of-00002.gguf");
  EXPECT_EQ(files[1].path, "folder/model-00002-of-00002.gguf");
  for (std::uint16_t i = 0; i < 2; ++i) {
    gguf::Writer expected;
    if (i == 0) expected.set_string("general.name", "Tiny");
    expected.set_u16("split.no", i);
    expected.set_u16("split.count", 2);
    expected.set_i32("split.tensors.count", 3);
    EXPECT_EQ(files[i].keys.to_bytes(), expected.to_bytes()) << i;
  }
}

TEST(SplitFiles, RefusesMoreFilesThanNamesCanCount) {
  const Model most(std::vector<std::size_t>(65'535, 1));
  EXPECT_EQ(split_target(most.target, {.max_tensors = 1}).size(), 65'535U);
  const Model more(std::vector<std::size_t>(65'536, 1));
  EXPECT_THROW(split_target(more.target, {.max_tensors = 1}), RequestError);
}

}  // namespace
}  // namespace foretoken::convert
