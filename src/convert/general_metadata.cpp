#include "convert/general_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <filesystem>

#include "base/error.h"
#include "convert/front_matter.h"
#include "convert/json_node.h"
#include "convert/model_id.h"

namespace foretoken::convert {
namespace {

using nlohmann::ordered_json;
using OptionalText = std::optional<std::string>;

enum class SamplingType { Text, Integer, Number };

struct SamplingKey {
  const char* key;     // behind general.sampling.
  const char* member;  // of generation_config.json
  SamplingType type;
};

constexpr std::array kSamplingKeys{
    SamplingKey{"sequence", "sequence", SamplingType::Text},
    SamplingKey{"top_k", "top_k", SamplingType::Integer},
    SamplingKey{"top_p", "top_p", SamplingType::Number},
    SamplingKey{"min_p", "min_p", SamplingType::Number},
    SamplingKey{"xtc_probability", "xtc_probability", SamplingType::Number},
    SamplingKey{"xtc_threshold", "xtc_threshold", SamplingType::Number},
    SamplingKey{"temp", "temperature", SamplingType::Number},
    SamplingKey{"penalty_last_n", "penalty_last_n", SamplingType::Integer},
    SamplingKey{"penalty_repeat", "penalty_repeat", SamplingType::Number},
    SamplingKey{"mirostat", "mirostat", SamplingType::Integer},
    SamplingKey{"mirostat_tau", "mirostat_tau", SamplingType::Number},
    SamplingKey{"mirostat_eta", "mirostat_eta", SamplingType::Number},
};

/// A text field with its key and the members of a model card that fill it, first come first served.
struct TextField {
  OptionalText GeneralMetadata::*field;
  const char* key;
  std::array<const char*, 4> card_members;
};

// In the order of the file.
constexpr std::array kNameFields{
    TextField{&GeneralMetadata::name, "general.name", {"name", "model_name"}},
    TextField{
        &GeneralMetadata::author, "general.author", {"author", "model_author", "model_creator"}},
    TextField{&GeneralMetadata::version, "general.version", {"version", "model_version"}},
    TextField{&GeneralMetadata::organization,
              "general.organization",
              {"organization", "model_organization"}},
    TextField{&GeneralMetadata::finetune, "general.finetune", {"finetune", "model_finetune"}},
    TextField{&GeneralMetadata::basename,
              "general.basename",
              {"basename", "model_basename", "model_type"}},
    TextField{
        &GeneralMetadata::description, "general.description", {"description", "model_description"}},
    TextField{&GeneralMetadata::quantized_by, "general.quantized_by", {}},
    TextField{
        &GeneralMetadata::size_label, "general.size_label", {"size_label", "model_size_label"}},
    TextField{&GeneralMetadata::license, "general.license", {}},
    TextField{&GeneralMetadata::license_name, "general.license.name", {"license_name"}},
    TextField{&GeneralMetadata::license_link, "general.license.link", {"license_link"}},
    TextField{&GeneralMetadata::url, "general.url", {}},
    TextField{&GeneralMetadata::doi, "general.doi", {}},
    TextField{&GeneralMetadata::uuid, "general.uuid", {}},
    TextField{&GeneralMetadata::repo_url, "general.repo_url", {}},
    TextField{&GeneralMetadata::source_url, "general.source.url", {"url", "model_url"}},
    TextField{&GeneralMetadata::source_doi, "general.source.doi", {"doi", "model_doi"}},
    TextField{&GeneralMetadata::source_uuid, "general.source.uuid", {"uuid", "model_uuid"}},
    TextField{&GeneralMetadata::source_repo_url,
              "general.source.repo_url",
              {"repo_url", "model_repo_url"}},
};

constexpr std::array kAncestorMembers{"name", "author", "version", "organization", "description",
                                      "url",  "doi",    "uuid",    "repo_url"};

/// The first of the members that is there, or null.
const ordered_json& first_of(const ordered_json& card, std::initializer_list<const char*> members) {
  static const ordered_json absent;
  for (const char* member : members) {
    const auto found = card.find(member);
    if (found != card.end()) return *found;
  }
  return absent;
}

/// The strings of a string or of a list.
std::vector<std::string> strings_of(const ordered_json& value) {
  if (value.is_string()) return {value.get<std::string>()};
  std::vector<std::string> out;
  if (!value.is_array()) return out;
  for (const ordered_json& item : value) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ",") + text;
  return out;
}

/// "owner/name" of a huggingface.co address; nothing for other addresses.
OptionalText hub_id(std::string_view address) {
  for (const std::string_view start : {"http://huggingface.co/", "https://huggingface.co/"}) {
    if (!address.starts_with(start)) continue;
    const std::string_view id = address.substr(start.size());
    const std::size_t slash = id.find('/');
    const bool two_parts = slash != std::string_view::npos && slash > 0 && slash + 1 < id.size() &&
                           id.find('/', slash + 1) == std::string_view::npos;
    if (two_parts) return std::string(id);
  }
  return std::nullopt;
}

/// What an address or a hub id says about an ancestor.
Ancestor describe_ancestor(const std::string& text, std::uint64_t n_params) {
  Ancestor out = ordered_json::object();
  const bool is_address =
      text.starts_with("http://") || text.starts_with("https://") || text.starts_with("ssh://");
  const OptionalText id = is_address ? hub_id(text) : OptionalText(text);
  if (id) {
    const ModelId parts = parse_model_id(*id, n_params);
    out["name"] = id_to_title(parts.name);
    if (parts.organization) out["organization"] = id_to_title(*parts.organization);
    if (parts.version) out["version"] = *parts.version;
    if (parts.organization && !is_address) {
      out["repo_url"] =
          fmt::format("https://huggingface.co/{}/{}", *parts.organization, parts.name);
    }
  }
  if (is_address) out["repo_url"] = text;
  return out;
}

std::vector<Ancestor> ancestors_of(const ordered_json& value, std::uint64_t n_params) {
  std::vector<Ancestor> out;
  const ordered_json list = value.is_array() ? value : ordered_json::array({value});
  for (const ordered_json& item : list) {
    if (item.is_string()) {
      out.push_back(describe_ancestor(item.get_ref<const std::string&>(), n_params));
    } else if (item.is_object()) {
      out.push_back(item);
    }
  }
  return out;
}

void read_card(const ordered_json& card, std::uint64_t n_params, GeneralMetadata& out) {
  for (const TextField& field : kNameFields) {
    for (const char* member : field.card_members) {
      if (member == nullptr || out.*field.field) continue;
      const auto value = card.find(member);
      if (value != card.end() && value->is_string()) out.*field.field = value->get<std::string>();
    }
  }
  const ordered_json& bases = first_of(card, {"base_model", "base_models", "base_model_sources"});
  if (!bases.is_null()) out.base_models = ancestors_of(bases, n_params);
  const ordered_json& datasets = first_of(card, {"datasets", "dataset", "dataset_sources"});
  if (!datasets.is_null()) out.datasets = ancestors_of(datasets, n_params);
  const std::vector<std::string> licenses = strings_of(first_of(card, {"license"}));
  if (!licenses.empty()) out.license = joined(licenses);
  for (const char* member : {"tags", "pipeline_tag"}) {
    for (std::string& tag : strings_of(first_of(card, {member})))
      out.tags.push_back(std::move(tag));
  }
  for (const char* member : {"languages", "language"}) {
    for (std::string& language : strings_of(first_of(card, {member}))) {
      out.languages.push_back(std::move(language));
    }
  }
}

void fill(OptionalText& field, const OptionalText& value) {
  if (!field) field = value;
}

/// Fills what is still missing from a model's name.
void read_id(std::string_view text, std::uint64_t n_params, GeneralMetadata& out) {
  const ModelId id = parse_model_id(text, n_params);
  fill(out.name, id_to_title(id.name));
  if (id.organization) fill(out.organization, id_to_title(*id.organization));
  fill(out.basename, id.basename);
  fill(out.finetune, id.finetune);
  fill(out.version, id.version);
  fill(out.size_label, id.size_label);
}

/// Takes one sampling value if it is there; its type is checked here.
void read_sampling_value(const JsonNode& node, const SamplingKey& key, GeneralMetadata& out) {
  if (node.is_null()) return;
  switch (key.type) {
    case SamplingType::Text:
      out.sampling[key.key] = node.require_string();
      break;
    case SamplingType::Integer:
      out.sampling[key.key] = node.require_int(INT32_MIN, INT32_MAX);
      break;
    case SamplingType::Number:
      out.sampling[key.key] = node.require_number(-FLT_MAX, FLT_MAX);
      break;
  }
}

void read_generation_config(const JsonNode& root, GeneralMetadata& out) {
  for (const SamplingKey& key : kSamplingKeys) {
    JsonNode node = root.get(key.member);
    if (node.is_null() && key.key == std::string_view("penalty_repeat")) {
      node = root.get("repetition_penalty");
    }
    read_sampling_value(node, key, out);
  }
}

void read_overrides(const JsonNode& root, GeneralMetadata& out) {
  for (const SamplingKey& key : kSamplingKeys) {
    read_sampling_value(root.get(fmt::format("general.sampling.{}", key.key)), key, out);
  }
  for (const TextField& field : kNameFields) {
    const JsonNode node = root.get(field.key);
    if (!node.is_null()) out.*field.field = node.require_string();
  }
  const auto strings = [&root](const char* key, std::vector<std::string>& to) {
    const JsonNode node = root.get(key);
    if (node.is_null()) return;
    to.clear();
    for (std::size_t i = 0; i < node.size(); ++i) to.push_back(node.at(i).require_string());
  };
  const auto ancestors = [&root](const char* key, std::optional<std::vector<Ancestor>>& to) {
    const JsonNode node = root.get(key);
    if (node.is_null()) return;
    to.emplace();
    for (std::size_t i = 0; i < node.size(); ++i) {
      if (!node.at(i).value().is_object()) node.at(i).throw_type("an object");
      to->push_back(node.at(i).value());
    }
  };
  strings("general.tags", out.tags);
  strings("general.languages", out.languages);
  ancestors("general.base_models", out.base_models);
  ancestors("general.datasets", out.datasets);
}

/// The folder's own name, also for "." and for a trailing slash.
std::string folder_name(const std::string& folder) {
  std::filesystem::path path(folder);
  if (!path.has_filename()) path = path.parent_path();
  if (path.empty() || path.filename() == "." || path.filename() == "..") {
    std::error_code error;
    path = std::filesystem::canonical(folder, error);
  }
  return path.filename().string();
}

void set_text(gguf::Writer& keys, std::string_view key, std::string_view value) {
  if (!value.empty()) keys.set_string(key, value);
}

void write_sampling(const ordered_json& sampling, gguf::Writer& keys) {
  for (const SamplingKey& sampling_key : kSamplingKeys) {
    const auto value = sampling.find(sampling_key.key);
    if (value == sampling.end()) continue;
    const std::string key = fmt::format("general.sampling.{}", sampling_key.key);
    switch (sampling_key.type) {
      case SamplingType::Text:
        set_text(keys, key, value->get_ref<const std::string&>());
        break;
      case SamplingType::Integer:
        keys.set_i32(key, value->get<std::int32_t>());
        break;
      case SamplingType::Number:
        keys.set_f32(key, static_cast<float>(value->get<double>()));
        break;
    }
  }
}

void write_ancestors(const std::vector<Ancestor>& ancestors, std::string_view prefix,
                     gguf::Writer& keys) {
  keys.set_u32(fmt::format("{}.count", prefix), static_cast<std::uint32_t>(ancestors.size()));
  for (std::size_t i = 0; i < ancestors.size(); ++i) {
    for (const char* member : kAncestorMembers) {
      const auto value = ancestors[i].find(member);
      if (value == ancestors[i].end() || !value->is_string()) continue;
      set_text(keys, fmt::format("{}.{}.{}", prefix, i, member),
               value->get_ref<const std::string&>());
    }
  }
}

void write_strings(const std::vector<std::string>& values, std::string_view key,
                   gguf::Writer& keys) {
  if (values.empty()) return;
  const std::vector<std::string_view> views(values.begin(), values.end());
  keys.set_string_array(key, views);
}

}  // namespace

GeneralMetadata collect_general_metadata(const MetadataSources& sources) {
  GeneralMetadata out;
  const std::filesystem::path folder(sources.folder);
  if (std::filesystem::is_regular_file(folder / "README.md")) {
    const std::string card = read_text_file((folder / "README.md").string());
    read_card(parse_front_matter(card), sources.n_params, out);
  }
  // A plain name or owner/name; more slashes are some computer's path.
  if (sources.name_or_path && std::ranges::count(*sources.name_or_path, '/') <= 1) {
    read_id(*sources.name_or_path, sources.n_params, out);
  }
  read_id(folder_name(sources.folder), sources.n_params, out);
  if (const auto path = folder / "generation_config.json"; std::filesystem::exists(path)) {
    const ordered_json document = read_json_object(path.string());
    const std::string file = path.string();
    read_generation_config(JsonNode(document, file), out);
  }
  if (sources.override_file) {
    const ordered_json document = read_json_object(*sources.override_file);
    read_overrides(JsonNode(document, *sources.override_file), out);
  }
  if (sources.model_name) out.name = sources.model_name;
  if (!out.size_label && sources.n_params > 0) out.size_label = size_label(sources.n_params);
  return out;
}

void write_general_metadata(const GeneralMetadata& metadata, gguf::Writer& keys) {
  write_sampling(metadata.sampling, keys);
  for (const TextField& field : kNameFields) {
    if (metadata.*field.field) set_text(keys, field.key, *(metadata.*field.field));
  }
  if (metadata.base_models) write_ancestors(*metadata.base_models, "general.base_model", keys);
  if (metadata.datasets) write_ancestors(*metadata.datasets, "general.dataset", keys);
  write_strings(metadata.tags, "general.tags", keys);
  write_strings(metadata.languages, "general.languages", keys);
}

}  // namespace foretoken::convert
