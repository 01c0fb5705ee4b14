// A Hugging Face checkpoint as the source of a GGUF file: every tensor checked against config.json,
// keys and tensors in the order of llama.cpp's converter.
// Source: docs/convert.md; conversion/base.py and qwen.py of llama.cpp de3ff815.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "convert/hf_config.h"
#include "convert/model_source.h"
#include "convert/write_model.h"
#include "quant/type.h"

namespace foretoken::convert {

/// What to make of a checkpoint.
enum class HfOutput {
  Model,       ///< text model with its MTP head
  WithoutMtp,  ///< text model alone
  MtpHead,     ///< the head with the embedding and output it needs
  Vision,      ///< the image tower (mmproj)
  Vocabulary,  ///< keys only
};

struct HfModelOptions {
  HfOutput output = HfOutput::Model;
  std::optional<quant::Type> type = {};  ///< F32, F16, BF16 or Q8_0; nothing: as the checkpoint is
  std::optional<std::string> model_name = {};     ///< for general.name
  std::optional<std::string> override_file = {};  ///< JSON object of general.* keys
  /// A checkpoint to take the MTP head from, as if its tensors stood in a last file of the folder.
  std::optional<std::string> head_folder = {};
};

struct HfModel {
  HfConfig config;
  quant::Type type = quant::Type::F16;  ///< as asked for or found
  ModelSource source;                   ///< its keys say `type` in general.file_type
  std::uint64_t n_params = 0;           ///< weights in the file
  std::string file_name;                ///< the name this file gets by convention

  /// The file to write. Borrows from this object.
  FileTarget file_target(const std::string& path) const;
};

/// Opens a checkpoint. Throws FormatError, naming what is wrong and what to do, when tensors are
/// missing, unknown or of another shape than config.json says, or when the MTP head that it
/// announces is not there; UnsupportedError for number types and variants without code; IoError.
HfModel open_hf_model(const std::string& folder, const HfModelOptions& options = {});

}  // namespace foretoken::convert
