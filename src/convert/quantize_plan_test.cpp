// Plans, and the GGUF files they are made from: a tiny model written and read here.
#include "convert/quantize_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/thread_pool.h"
#include "convert/gguf_model.h"
#include "convert/write_files.h"
#include "gguf/file.h"
#include "gguf/writer.h"

namespace foretoken::convert {
namespace {

using quant::Type;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::size_t kCols = 256;

/// A file in memory with the few keys a plan needs; floats of a tensor are 0, 1, 2...
class SmallModel {
 public:
  SmallModel() {
    writer.set_string("general.architecture", "qwen35");
    writer.set_u32("general.file_type", 0);
    writer.set_u32("general.alignment", 32);
    writer.set_u32("qwen35.block_count", 2);
    writer.set_u32("qwen35.attention.head_count", 4);
  }
  void add(const std::string& name, std::size_t n_rows, Type type = Type::F32) {
    const std::vector<std::size_t> shape = {n_rows, kCols};
    std::vector<std::byte> bytes(n_rows * quant::row_bytes(type, kCols));
    if (type == Type::F32) {
      for (std::size_t i = 0; i < n_rows * kCols; ++i) {
        const auto value = static_cast<float>(i);
        std::memcpy(bytes.data() + i * sizeof(float), &value, sizeof(float));
      }
    }
    data_.push_back(std::make_unique<std::vector<std::byte>>(std::move(bytes)));
    writer.add_tensor(name, type, shape, *data_.back());
  }
  const ModelSource& open(TensorOrder order = TensorOrder::ByLayer) {
    bytes_ = writer.to_bytes();
    auto file = std::make_shared<const gguf::File>(gguf::File::from_memory(bytes_, "small"));
    file_ = file;
    model_ = open_gguf_model(std::move(file), order);
    return model_;
  }
  QuantizePlan plan(const QuantizeOptions& options) {
    return plan_quantization(open(), {.n_layers = 2, .n_mtp_layers = 0, .gqa = 1}, options);
  }
  const gguf::File& file() const { return *file_; }

  gguf::Writer writer;

 private:
  std::vector<std::unique_ptr<std::vector<std::byte>>> data_;
  std::vector<std::byte> bytes_;
  std::shared_ptr<const gguf::File> file_;
  ModelSource model_;
};

QuantizeOptions as(const char* file_type) {
  QuantizeOptions options;
  options.file_type = find_file_type(file_type).value();
  return options;
}

std::vector<std::string> names(const ModelSource& model) {
  std::vector<std::string> out;
  for (const TensorSource& tensor : model.tensors) out.push_back(tensor.name);
  return out;
}

TEST(GgufModel, TensorsAreSortedByBlockThenName) {
  SmallModel model;
  for (const char* name :
       {"blk.10.a", "blk.9.b", "token_embd.weight", "blk.9.a", "output.weight"}) {
    model.add(name, 1);
  }
  EXPECT_THAT(names(model.open()),
              ElementsAre("output.weight", "token_embd.weight", "blk.9.a", "blk.9.b", "blk.10.a"));
  EXPECT_THAT(names(model.open(TensorOrder::AsInFile)),
              ElementsAre("blk.10.a", "blk.9.b", "token_embd.weight", "blk.9.a", "output.weight"));
}

TEST(GgufModel, RowsComeFromTheFile) {
  SmallModel model;
  model.add("blk.0.a", 3);
  const TensorSource& tensor = model.open().tensors.front();
  EXPECT_EQ(tensor.n_rows(), 3U);
  std::vector<float> rows(2 * kCols);
  tensor.read_rows(1, 2, rows.data());
  EXPECT_EQ(rows.front(), 256.0F);
  EXPECT_EQ(rows.back(), 767.0F);
  std::vector<float> copied(kCols);
  tensor.copy_rows(2, 1, reinterpret_cast<std::byte*>(copied.data()));
  EXPECT_EQ(copied.front(), 512.0F);
  EXPECT_EQ(tensor.range->size, 3 * kCols * sizeof(float));
}

TEST(GgufModel, KeysLoseTheSplitAndTheAlignment) {
  SmallModel model;
  model.add("blk.0.a", 1);
  model.writer.set_u16("split.no", 0);
  model.writer.set_u16("split.count", 0);
  model.writer.set_i32("split.tensors.count", 1);
  gguf::Writer keys = model.open().keys;
  set_quantization_keys(keys, 15);
  const auto bytes = keys.to_bytes();
  const gguf::File read = gguf::File::from_memory(bytes, "keys");
  std::vector<std::string> found;
  for (const gguf::Entry& entry : read.metadata().entries()) found.emplace_back(entry.key);
  EXPECT_THAT(found, ElementsAre("general.architecture", "qwen35.block_count",
                                 "qwen35.attention.head_count", "general.quantization_version",
                                 "general.file_type"));
  EXPECT_EQ(read.metadata().require_u32("general.file_type"), 15U);
}

TEST(GgufModel, FileTypeIsReadOrGuessed) {
  SmallModel model;
  model.add("blk.0.a", 1, Type::Q4_K);
  model.add("blk.0.b", 1, Type::Q4_K);
  model.add("blk.0.c", 1, Type::F32);
  model.open();
  EXPECT_EQ(file_type_of(model.file()), 0U);
  model.writer.remove("general.file_type");
  model.open();
  EXPECT_EQ(file_type_of(model.file()), 15U | kGuessedFileType);
}

TEST(QuantizePlan, AddsUpSizes) {
  SmallModel model;
  model.add("blk.0.ffn_up.weight", 4);
  model.add("blk.0.attn_norm.weight", 1);
  const QuantizePlan plan = model.plan(as("Q8_0"));
  EXPECT_EQ(plan.n_weights(), 5 * kCols);
  EXPECT_EQ(plan.source_bytes(), 5 * kCols * 4);
  EXPECT_EQ(plan.size_bytes(), 4 * kCols / 32 * 34 + kCols * 4);
  EXPECT_THAT(plan.problems, ElementsAre());
  EXPECT_FALSE(plan.tensors[0].changes());
  EXPECT_TRUE(plan.tensors[1].changes());
}

TEST(QuantizePlan, RequantizingIsRefusedUnlessAllowed) {
  SmallModel model;
  model.add("blk.0.ffn_up.weight", 2, Type::Q8_0);
  model.add("blk.0.ffn_gate.weight", 2, Type::Q4_K);
  QuantizeOptions options = as("Q4_K_M");
  EXPECT_THAT(model.plan(options).problems,
              ElementsAre(AllOf(HasSubstr("blk.0.ffn_up.weight"), HasSubstr("Q8_0 already"))));
  options.allow_requantize = true;
  EXPECT_THAT(model.plan(options).problems, ElementsAre());
}

TEST(QuantizePlan, TypesNobodyHereMakesCanOnlyBeCopied) {
  SmallModel model;
  model.add("blk.0.ffn_up.weight", 2, Type::IQ2_XS);
  QuantizeOptions options = as("Q8_0");
  options.allow_requantize = true;
  EXPECT_THAT(model.plan(options).problems, ElementsAre(HasSubstr("cannot be decoded")));
  options.recipe.overrides.add("ffn_up=iq2_xs");
  EXPECT_THAT(model.plan(options).problems, ElementsAre());  // stays as it is
  SmallModel floats;
  floats.add("blk.0.ffn_up.weight", 2);
  EXPECT_THAT(floats.plan(options).problems, ElementsAre(HasSubstr("IQ2_XS")));
}

TEST(QuantizePlan, TablesWhoseRowsDoNotFitAreAProblem) {
  SmallModel model;
  const std::vector<float> row(40);
  const std::vector<std::size_t> shape = {2, 20};
  model.writer.add_tensor("token_embd.weight", Type::F32, shape, std::as_bytes(std::span(row)));
  QuantizeOptions options = as("Q8_0");
  options.recipe.embedding_type = Type::Q8_0;  // by hand there is no fallback
  EXPECT_THAT(model.plan(options).problems, ElementsAre(HasSubstr("no multiple of the 32")));
}

TEST(QuantizePlan, ImportancesGoToTheTensorsTheyAreFor) {
  SmallModel model;
  model.add("blk.0.ffn_up.weight", 2);
  model.add("blk.0.ffn_gate.weight", 2);
  model.add("blk.0.attn_norm.weight", 1);
  model.add("output.weight", 2);
  QuantizeOptions options = as("Q4_K_M");
  options.importances["blk.0.ffn_up.weight"] = std::vector<float>(kCols, 1.0F);
  const QuantizePlan plan = model.plan(options);
  EXPECT_THAT(plan.problems, ElementsAre());
  EXPECT_THAT(plan.without_importance, ElementsAre("output.weight", "blk.0.ffn_gate.weight"));
  for (const PlannedTensor& tensor : plan.tensors) {
    EXPECT_EQ(tensor.importance != nullptr, tensor.source->name == "blk.0.ffn_up.weight");
  }
}

TEST(QuantizePlan, ImportancesOfAnotherModelAreRefused) {
  SmallModel model;
  model.add("blk.0.ffn_up.weight", 2);
  model.add("token_embd.weight", 2);
  QuantizeOptions options = as("Q4_K_M");
  options.importances["blk.0.ffn_up.weight"] = {1.0F};
  options.importances["token_embd.weight"] = {1.0F};  // only worth a remark
  const QuantizePlan plan = model.plan(options);
  EXPECT_THAT(plan.problems, ElementsAre(HasSubstr("of another model")));
  EXPECT_THAT(plan.without_importance, ElementsAre("token_embd.weight", "blk.0.ffn_up.weight"));
}

TEST(QuantizePlan, Q2KSWithoutImportancesIsRefused) {
  SmallModel model;
  model.add("blk.0.ffn_up.weight", 2);
  EXPECT_THAT(model.plan(as("Q2_K_S")).problems, ElementsAre(HasSubstr("without importances")));
  QuantizeOptions options = as("Q2_K_S");
  options.importances["blk.0.ffn_up.weight"] = std::vector<float>(kCols, 1.0F);
  EXPECT_THAT(model.plan(options).problems, ElementsAre());
}

TEST(WriteFiles, NoneAppearsBeforeAllAreWritten) {
  SmallModel model;
  model.add("blk.0.a", 2);
  model.add("blk.1.a", 2);
  const std::string path = ::testing::TempDir() + "write-files-source.gguf";
  model.writer.write(path);
  const ModelSource source = open_gguf_model(
      std::make_shared<const gguf::File>(gguf::File::open(path)), TensorOrder::ByLayer);
  std::vector<FileTarget> targets(2);
  for (std::size_t i = 0; i < 2; ++i) {
    targets[i].path = path + (i == 0 ? ".1" : ".2");
    targets[i].tensors.push_back({&source.tensors[i], Type::Q8_0, {}});
  }
  ThreadPool pool(1);
  int calls = 0;
  EXPECT_THROW(write_files(targets, pool, [&](std::size_t, std::size_t) { return ++calls < 2; }),
               Cancelled);
  EXPECT_GT(calls, 1);
  for (const FileTarget& target : targets) EXPECT_THROW(MappedFile{target.path}, IoError);
  write_files(targets, pool);
  for (const FileTarget& target : targets) {
    EXPECT_EQ(MappedFile(target.path).bytes().size(), file_size(target));
    EXPECT_EQ(gguf::File::open(target.path).tensors().size(), 1U);
    std::remove(target.path.c_str());
  }
  std::remove(path.c_str());
}

}  // namespace
}  // namespace foretoken::convert
