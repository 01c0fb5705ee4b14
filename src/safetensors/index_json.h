// model.safetensors.index.json: which file of a sharded checkpoint holds which tensor.
// Source: docs/safetensors.md, "Sharded checkpoints".
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace foretoken::safetensors {

inline constexpr std::string_view kIndexFileName = "model.safetensors.index.json";

/// Tensor name to file name, both as the index spells them. File names are plain: no separator, no
/// "..", nothing empty or absolute.
using WeightMap = std::map<std::string, std::string, std::less<>>;

/// Reads the member weight_map; others are checked as JSON and not looked at. Throws FormatError
/// naming `file` for anything but strict JSON, members given twice, nesting deeper than 8, an
/// absent or empty map, values that are not plain file names.
WeightMap parse_index(std::string_view text, const std::string& file);

}  // namespace foretoken::safetensors
