// What a model's name says: "Qwen/Qwen3.5-9B-Instruct-v2" has an organisation, a base name, a size,
// a fine-tune and a version. The rules, odd corners included, are those of llama.cpp's converter,
// so that a file gets the same general.* keys and the same default name.
// Source: docs/convert.md, "Names"; gguf-py/gguf/metadata.py and utility.py of llama.cpp de3ff815.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace foretoken::convert {

struct ModelId {
  std::string name;  ///< without the organisation
  std::optional<std::string> organization = {};
  std::optional<std::string> basename = {};
  std::optional<std::string> finetune = {};
  std::optional<std::string> version = {};
  std::optional<std::string> size_label = {};
};

/// Takes "organisation/name" or "name" apart. `n_params` tells sizes ("9B") from context lengths
/// ("32k"): a label far from it is no size; 0 means unknown. A text with spaces is a name as a
/// whole.
ModelId parse_model_id(std::string_view id, std::uint64_t n_params);

/// "my-model-v2" -> "My Model v2": hyphens become spaces, lower-case words get a capital, versions
/// and words that start with a digit stay. Only ASCII letters change.
std::string id_to_title(std::string_view id);

/// "9.2B", "752M", "889K": at least two digits.
std::string size_label(std::uint64_t n_params);

/// The parts of a default file name, "Qwen3.5-9B-Instruct-v2-BF16".
struct FileNameParts {
  std::optional<std::string> name;
  std::optional<std::string> basename;  ///< preferred to `name`
  std::optional<std::string> size_label;
  std::optional<std::string> finetune;
  std::optional<std::string> version;
  std::optional<std::string> encoding;  ///< "BF16"
};

/// Joins them with hyphens; slashes and spaces become hyphens.
std::string default_file_name(const FileNameParts& parts);

}  // namespace foretoken::convert
