// Reads the tokenizer files of a Hugging Face checkpoint: tokenizer.json, and beside it
// tokenizer_config.json (added tokens missing from the former, chat template) and
// chat_template.jinja.
//
// Only byte-level BPE as the Qwen family uses it is read; every setting that would change the ids
// and that we do not implement is refused by name.
// Source: docs/tokenizer.md, "Files"; huggingface/tokenizers, the format of its serialised models.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/vocabulary.h"

namespace foretoken::tokenizer {

/// The texts of the three files and the name to use for each in error texts.
struct HfTokenizerFiles {
  std::string name;  ///< of tokenizer.json
  std::string tokenizer_json;
  std::string config_name;
  std::optional<std::string> tokenizer_config_json;
  std::optional<std::string> chat_template;
};

/// Throws FormatError for malformed files and UnsupportedError for settings outside our subset.
Vocabulary parse_hf_vocabulary(const HfTokenizerFiles& files);

/// The same for a directory; also throws IoError.
Vocabulary read_hf_vocabulary(const std::string& directory);

}  // namespace foretoken::tokenizer
