// What a GGUF file is, in the terms of this project: which of the kinds of files around a Qwen3.5
// model, which size, whether its MTP head is whole, what it weighs and whether it can be run.
// Source: docs/gguf.md, "Kinds of files"; docs/qwen35.md, "Tensors".
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/file.h"
#include "quant/type.h"

namespace foretoken::model {

enum class FileKind {
  TextModel,         ///< Qwen3.5 text, no MTP tensors
  TextModelWithMtp,  ///< Qwen3.5 text with MTP tensors, perhaps not all of them
  MtpHead,           ///< Qwen3.5 MTP tensors without a trunk
  VisionProjector,   ///< mmproj
  VocabularyOnly,    ///< a tokenizer, no tensors
  ImportanceMatrix,
  Adapter,     ///< LoRA
  OtherModel,  ///< another architecture, or none stated
};

/// "Qwen3.5 text model with MTP head".
std::string_view file_kind_name(FileKind kind);

/// State of the MTP head.
struct MtpSummary {
  int announced = 0;  ///< qwen35.nextn_predict_layers
  int expected = 0;   ///< tensors that a whole head has: 15; 0 when no head is announced
  int present = 0;    ///< how many of them are there
  std::vector<std::string> missing;  ///< names of the others
  bool complete() const { return expected > 0 && missing.empty(); }
};

/// Tensors of one type.
struct TypeUsage {
  quant::Type type;
  std::size_t n_tensors = 0;
  std::size_t n_elements = 0;
  std::size_t size_bytes = 0;
};

struct FileSummary {
  FileKind kind = FileKind::OtherModel;
  std::string architecture;  ///< general.architecture; empty when absent
  std::string name;          ///< general.name; empty when absent
  std::string size;          ///< "9B", or "8 layers, width 256" for an unlisted shape; may be empty
  std::string file_type;     ///< "Q4_K_M" from general.file_type; empty when absent
  MtpSummary mtp;
  std::vector<TypeUsage> types;  ///< largest first
  std::size_t n_elements = 0;    ///< of all tensors
  std::size_t size_bytes = 0;    ///< of all tensors
  /// Why the engine cannot run it, when it is a text model but broken or of an unsupported variant.
  std::optional<std::string> problem;

  /// Size of the tensors in bits over their elements; 0 without tensors.
  double bits_per_weight() const;
};

/// Never throws for an opened file: what contradicts itself ends up in `problem`.
FileSummary summarize(const gguf::File& file);

/// Name of a general.file_type value ("Q4_K_M" for 15); empty for an unknown one.
std::string_view file_type_name(std::uint32_t file_type);

}  // namespace foretoken::model
