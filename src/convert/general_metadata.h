// The general.* keys of a model file: who made it, from what, under which licence, and how its
// makers want it sampled. Collected from the model card, config.json, generation_config.json, the
// folder's name and a file of overrides, in llama.cpp's order of precedence.
// Source: docs/convert.md, "General keys"; gguf-py/gguf/metadata.py of llama.cpp de3ff815.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/writer.h"

namespace foretoken::convert {

/// A model or dataset that this one was made from: its members "name", "author", "version",
/// "organization", "description", "url", "doi", "uuid", "repo_url" as far as known.
using Ancestor = nlohmann::ordered_json;

struct GeneralMetadata {
  /// "top_k" -> number and so on, under the names of the general.sampling.* keys.
  nlohmann::ordered_json sampling = nlohmann::ordered_json::object();

  std::optional<std::string> name;
  std::optional<std::string> author;
  std::optional<std::string> version;
  std::optional<std::string> organization;
  std::optional<std::string> finetune;
  std::optional<std::string> basename;
  std::optional<std::string> description;
  std::optional<std::string> quantized_by;
  std::optional<std::string> size_label;
  std::optional<std::string> license;  ///< several are joined by commas
  std::optional<std::string> license_name;
  std::optional<std::string> license_link;
  std::optional<std::string> url;
  std::optional<std::string> doi;
  std::optional<std::string> uuid;
  std::optional<std::string> repo_url;
  std::optional<std::string> source_url;
  std::optional<std::string> source_doi;
  std::optional<std::string> source_uuid;
  std::optional<std::string> source_repo_url;
  std::optional<std::vector<Ancestor>> base_models;
  std::optional<std::vector<Ancestor>> datasets;
  std::vector<std::string> tags;
  std::vector<std::string> languages;
};

/// What metadata is collected from.
struct MetadataSources {
  std::string folder;                       ///< whose README.md and generation_config.json are read
  std::optional<std::string> name_or_path;  ///< of config.json
  std::optional<std::string> override_file;  ///< JSON object of general.* keys; has the last word
  std::optional<std::string> model_name;     ///< goes before everything
  std::uint64_t n_params = 0;                ///< of the file to write; 0: unknown
};

/// Throws FormatError for JSON files that are malformed or hold values of a wrong type, IoError for
/// an override file that cannot be read.
GeneralMetadata collect_general_metadata(const MetadataSources& sources);

/// Sets the keys in the converter's order, behind general.architecture and general.type.
void write_general_metadata(const GeneralMetadata& metadata, gguf::Writer& keys);

}  // namespace foretoken::convert
