#include "model/file_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "gguf/writer.h"

namespace foretoken::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

gguf::File open_bundled() {
  return gguf::File::open(std::string(FORETOKEN_SOURCE_DIR) + "/models/tiny/tiny-paw-Q4_K_M.gguf");
}

// The bundled model without the tensors that `drop` picks.
std::vector<std::byte> bundled_without(const gguf::File& file,
                                       const std::function<bool(const std::string&)>& drop) {
  gguf::Writer writer;
  writer.copy_metadata(file.metadata());
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    if (!drop(tensor.name)) writer.add_tensor(file, tensor);
  }
  return writer.to_bytes();
}

FileSummary summary_of(const std::vector<std::byte>& bytes) {
  return summarize(gguf::File::from_memory(bytes, "made.gguf"));
}

TEST(FileSummary, DescribesTheBundledModel) {
  const FileSummary summary = summarize(open_bundled());
  EXPECT_EQ(summary.kind, FileKind::TextModelWithMtp);
  EXPECT_EQ(summary.architecture, "qwen35");
  EXPECT_EQ(summary.size, "8 layers, width 256");
  EXPECT_EQ(summary.file_type, "Q4_K_M");
  EXPECT_TRUE(summary.mtp.complete());
  EXPECT_EQ(summary.mtp.present, 15);
  EXPECT_FALSE(summary.problem.has_value()) << *summary.problem;
  EXPECT_GT(summary.bits_per_weight(), 4.5);
  EXPECT_LT(summary.bits_per_weight(), 6.6);
  std::size_t total = 0;
  for (const TypeUsage& usage : summary.types) total += usage.size_bytes;
  EXPECT_EQ(total, summary.size_bytes);
  EXPECT_EQ(summary.types.front().type, quant::Type::Q4_K);
}

TEST(FileSummary, NamesTheMissingTensorsOfAHead) {
  const gguf::File file = open_bundled();
  const auto bytes = bundled_without(file, [](const std::string& name) {
    return name == "blk.8.nextn.hnorm.weight" || name == "blk.8.nextn.shared_head_norm.weight";
  });
  const FileSummary summary = summary_of(bytes);
  EXPECT_EQ(summary.kind, FileKind::TextModelWithMtp);
  EXPECT_FALSE(summary.mtp.complete());
  EXPECT_EQ(summary.mtp.present, 13);
  EXPECT_THAT(summary.mtp.missing,
              ElementsAre("blk.8.nextn.hnorm.weight", "blk.8.nextn.shared_head_norm.weight"));
  ASSERT_TRUE(summary.problem.has_value());
  EXPECT_THAT(*summary.problem, HasSubstr("blk.8.nextn.hnorm.weight"));
}

TEST(FileSummary, AnnouncedButAbsentHeadIsAProblem) {
  const gguf::File file = open_bundled();
  const auto bytes =
      bundled_without(file, [](const std::string& name) { return name.starts_with("blk.8."); });
  const FileSummary summary = summary_of(bytes);
  EXPECT_EQ(summary.kind, FileKind::TextModel);
  EXPECT_EQ(summary.mtp.announced, 1);
  EXPECT_EQ(summary.mtp.present, 0);
  EXPECT_THAT(summary.mtp.missing, SizeIs(15));
  EXPECT_TRUE(summary.problem.has_value());
}

TEST(FileSummary, RecognisesAHeadAlone) {
  const gguf::File file = open_bundled();
  const auto bytes = bundled_without(file, [](const std::string& name) {
    return name.starts_with("blk.") && !name.starts_with("blk.8.");
  });
  const FileSummary summary = summary_of(bytes);
  EXPECT_EQ(summary.kind, FileKind::MtpHead);
  EXPECT_TRUE(summary.mtp.complete());
  EXPECT_FALSE(summary.problem.has_value());
}

TEST(FileSummary, ReportsWhatStopsTheEngine) {
  const gguf::File file = open_bundled();
  const auto bytes =
      bundled_without(file, [](const std::string& name) { return name == "blk.3.attn_q.weight"; });
  ASSERT_TRUE(summary_of(bytes).problem.has_value());
  EXPECT_THAT(*summary_of(bytes).problem, HasSubstr("blk.3.attn_q.weight"));
}

FileKind kind_of(const std::function<void(gguf::Writer&)>& fill, bool with_tensor) {
  gguf::Writer writer;
  fill(writer);
  const std::vector<std::byte> data(16);
  if (with_tensor) {
    writer.add_tensor("x.weight", quant::Type::F32, std::array<std::size_t, 1>{4}, data);
  }
  return summary_of(writer.to_bytes()).kind;
}

TEST(FileSummary, TellsTheOtherKindsApart) {
  const auto typed = [](const char* type) {
    return [type](gguf::Writer& writer) { writer.set_string("general.type", type); };
  };
  const auto architecture = [](const char* name) {
    return [name](gguf::Writer& writer) { writer.set_string("general.architecture", name); };
  };
  EXPECT_EQ(kind_of(typed("mmproj"), true), FileKind::VisionProjector);
  EXPECT_EQ(kind_of(typed("imatrix"), true), FileKind::ImportanceMatrix);
  EXPECT_EQ(kind_of(typed("adapter"), true), FileKind::Adapter);
  EXPECT_EQ(kind_of(architecture("clip"), true), FileKind::VisionProjector);
  EXPECT_EQ(kind_of(architecture("llama"), true), FileKind::OtherModel);
  EXPECT_EQ(kind_of([](gguf::Writer&) {}, true), FileKind::OtherModel);
  const auto vocabulary = [](gguf::Writer& writer) {
    writer.set_string("general.architecture", "qwen35");
    writer.set_string("tokenizer.ggml.model", "gpt2");
  };
  EXPECT_EQ(kind_of(vocabulary, false), FileKind::VocabularyOnly);
  EXPECT_EQ(kind_of([](gguf::Writer&) {}, false), FileKind::OtherModel);
}

TEST(FileSummary, NamesThePublishedSizes) {
  const auto size = [](std::uint32_t n_blocks, std::uint32_t n_mtp, std::uint32_t d_model) {
    gguf::Writer writer;
    writer.set_string("general.architecture", "qwen35");
    writer.set_u32("qwen35.block_count", n_blocks);
    writer.set_u32("qwen35.nextn_predict_layers", n_mtp);
    writer.set_u32("qwen35.embedding_length", d_model);
    return summary_of(writer.to_bytes()).size;
  };
  EXPECT_EQ(size(24, 0, 1024), "0.8B");
  EXPECT_EQ(size(25, 1, 2048), "2B");
  EXPECT_EQ(size(33, 1, 2560), "4B");
  EXPECT_EQ(size(33, 1, 4096), "9B");
  EXPECT_EQ(size(65, 1, 5120), "27B");
  EXPECT_EQ(size(10, 1, 64), "9 layers, width 64");
  EXPECT_EQ(size(1, 1, 64), "");
}

TEST(FileSummary, KeysOfWrongTypesAreTakenAsAbsent) {
  gguf::Writer writer;
  writer.set_u32("general.architecture", 1);
  writer.set_string("general.file_type", "Q4_K_M");
  const FileSummary summary = summary_of(writer.to_bytes());
  EXPECT_EQ(summary.architecture, "");
  EXPECT_EQ(summary.file_type, "");
  EXPECT_EQ(summary.bits_per_weight(), 0.0);
  EXPECT_THAT(summary.types, IsEmpty());
}

TEST(FileTypeName, KnowsTheNumbersAndIgnoresTheGuessedBit) {
  EXPECT_EQ(file_type_name(15), "Q4_K_M");
  EXPECT_EQ(file_type_name(15 + 1024), "Q4_K_M");
  EXPECT_EQ(file_type_name(30), "IQ4_XS");
  EXPECT_EQ(file_type_name(5), "");
}

}  // namespace
}  // namespace foretoken::model
