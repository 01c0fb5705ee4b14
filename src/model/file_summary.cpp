// Classification by architecture, general.type and the tensors that are there.
#include "model/file_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "model/qwen35/config.h"
#include "model/qwen35/tensor_map.h"

namespace foretoken::model {
namespace {

// Published dense shapes by trunk layers and width; 3.6 and 3.8 of 27B share the 3.5 shape.
struct KnownSize {
  std::uint32_t n_layers;
  std::uint32_t d_model;
  std::string_view name;
};
constexpr std::array<KnownSize, 5> kKnownSizes{
    {{24, 1024, "0.8B"}, {24, 2048, "2B"}, {32, 2560, "4B"}, {32, 4096, "9B"}, {64, 5120, "27B"}}};

struct NamedFileType {
  std::uint32_t id;
  std::string_view name;
};
constexpr std::array<NamedFileType, 36> kFileTypes{
    {{0, "F32"},      {1, "F16"},      {2, "Q4_0"},       {3, "Q4_1"},    {7, "Q8_0"},
     {8, "Q5_0"},     {9, "Q5_1"},     {10, "Q2_K"},      {11, "Q3_K_S"}, {12, "Q3_K_M"},
     {13, "Q3_K_L"},  {14, "Q4_K_S"},  {15, "Q4_K_M"},    {16, "Q5_K_S"}, {17, "Q5_K_M"},
     {18, "Q6_K"},    {19, "IQ2_XXS"}, {20, "IQ2_XS"},    {21, "Q2_K_S"}, {22, "IQ3_XS"},
     {23, "IQ3_XXS"}, {24, "IQ1_S"},   {25, "IQ4_NL"},    {26, "IQ3_S"},  {27, "IQ3_M"},
     {28, "IQ2_S"},   {29, "IQ2_M"},   {30, "IQ4_XS"},    {31, "IQ1_M"},  {32, "BF16"},
     {36, "TQ1_0"},   {37, "TQ2_0"},   {38, "MXFP4_MOE"}, {39, "NVFP4"},  {40, "Q1_0"},
     {41, "Q2_0"}}};
constexpr std::uint32_t kGuessedBit = 1024;  // llama.cpp marks file types it inferred

/// A look-up that takes a key of the wrong type for an absent one: a summary describes odd files.
std::string text_of(const gguf::Metadata& metadata, std::string_view key) {
  const gguf::Entry* entry = metadata.find_entry(key);
  if (entry == nullptr || entry->type != gguf::ValueType::String) return {};
  return std::string(metadata.require_string(key));
}

std::uint32_t number_of(const gguf::Metadata& metadata, std::string_view key) {
  const gguf::Entry* entry = metadata.find_entry(key);
  if (entry == nullptr || entry->type != gguf::ValueType::U32) return 0;
  return metadata.require_u32(key);
}

bool is_mtp_tensor(const gguf::TensorInfo& tensor) {
  return tensor.name.find(".nextn.") != std::string::npos;
}

FileKind classify(const gguf::File& file, const FileSummary& summary) {
  const std::string type = text_of(file.metadata(), "general.type");
  if (type == "imatrix") return FileKind::ImportanceMatrix;
  if (type == "adapter") return FileKind::Adapter;
  if (type == "mmproj" || summary.architecture == "clip") return FileKind::VisionProjector;
  if (file.tensors().empty()) {
    const bool vocabulary = file.metadata().has("tokenizer.ggml.model");
    return vocabulary ? FileKind::VocabularyOnly : FileKind::OtherModel;
  }
  if (summary.architecture != "qwen35") return FileKind::OtherModel;
  const bool trunk = file.find_tensor("blk.0.attn_norm.weight") != nullptr;
  const bool mtp = std::any_of(file.tensors().begin(), file.tensors().end(), is_mtp_tensor);
  if (!trunk && mtp) return FileKind::MtpHead;
  return mtp ? FileKind::TextModelWithMtp : FileKind::TextModel;
}

std::string size_name(const gguf::Metadata& metadata) {
  const std::uint32_t n_blocks = number_of(metadata, "qwen35.block_count");
  const std::uint32_t n_mtp = number_of(metadata, "qwen35.nextn_predict_layers");
  const std::uint32_t d_model = number_of(metadata, "qwen35.embedding_length");
  if (n_blocks <= n_mtp || d_model == 0) return {};
  for (const KnownSize& known : kKnownSizes) {
    if (known.n_layers == n_blocks - n_mtp && known.d_model == d_model) {
      return std::string(known.name);
    }
  }
  return fmt::format("{} layers, width {}", n_blocks - n_mtp, d_model);
}

// The tensors of a whole head: all that the loader requires and the head's own output norm, which
// the loader can replace by the trunk's. Tables of its own are optional and not counted.
MtpSummary summarize_mtp(const gguf::File& file, const qwen35::Config& config) {
  MtpSummary out;
  out.announced = config.n_mtp_layers;
  for (int index = 0; index < config.n_mtp_layers; ++index) {
    for (const qwen35::TensorSpec& spec : qwen35::mtp_tensors(config, index)) {
      if (!spec.required && !spec.name.ends_with("nextn.shared_head_norm.weight")) continue;
      ++out.expected;
      if (file.find_tensor(spec.name) != nullptr) {
        ++out.present;
      } else {
        out.missing.push_back(spec.name);
      }
    }
  }
  return out;
}

void add_types(const gguf::File& file, FileSummary& summary) {
  std::map<quant::Type, TypeUsage> usage;
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    TypeUsage& entry = usage.try_emplace(tensor.type, TypeUsage{tensor.type}).first->second;
    ++entry.n_tensors;
    entry.n_elements += tensor.n_elements();
    entry.size_bytes += tensor.size_bytes;
    summary.n_elements += tensor.n_elements();
    summary.size_bytes += tensor.size_bytes;
  }
  for (const auto& [type, entry] : usage) summary.types.push_back(entry);
  std::stable_sort(
      summary.types.begin(), summary.types.end(),
      [](const TypeUsage& a, const TypeUsage& b) { return a.size_bytes > b.size_bytes; });
}

}  // namespace

std::string_view file_kind_name(FileKind kind) {
  switch (kind) {
    case FileKind::TextModel:
      return "Qwen3.5 text model without MTP head";
    case FileKind::TextModelWithMtp:
      return "Qwen3.5 text model with MTP head";
    case FileKind::MtpHead:
      return "Qwen3.5 MTP head alone";
    case FileKind::VisionProjector:
      return "vision projector (mmproj)";
    case FileKind::VocabularyOnly:
      return "vocabulary only";
    case FileKind::ImportanceMatrix:
      return "importance matrix";
    case FileKind::Adapter:
      return "LoRA adapter";
    case FileKind::OtherModel:
      return "file of another architecture";
  }
  return {};
}

std::string_view file_type_name(std::uint32_t file_type) {
  for (const NamedFileType& known : kFileTypes) {
    if (known.id == (file_type & ~kGuessedBit)) return known.name;
  }
  return {};
}

double FileSummary::bits_per_weight() const {
  if (n_elements == 0) return 0.0;
  return 8.0 * static_cast<double>(size_bytes) / static_cast<double>(n_elements);
}

FileSummary summarize(const gguf::File& file) {
  const gguf::Metadata& metadata = file.metadata();
  FileSummary out;
  out.architecture = text_of(metadata, "general.architecture");
  out.name = text_of(metadata, "general.name");
  out.kind = classify(file, out);
  const gguf::Entry* file_type = metadata.find_entry("general.file_type");
  if (file_type != nullptr && file_type->type == gguf::ValueType::U32) {
    out.file_type = file_type_name(metadata.require_u32("general.file_type"));
  }
  add_types(file, out);
  if (out.architecture != "qwen35") return out;
  out.size = size_name(metadata);
  if (out.kind != FileKind::TextModel && out.kind != FileKind::TextModelWithMtp &&
      out.kind != FileKind::MtpHead) {
    return out;
  }
  try {
    const qwen35::Config config = qwen35::read_config(file);
    out.mtp = summarize_mtp(file, config);
    if (out.kind != FileKind::MtpHead) qwen35::check_tensors(file, config);
  } catch (const Error& error) {
    out.problem = error.what();
  }
  return out;
}

}  // namespace foretoken::model
