// The JSON of a safetensors header as a strict reader sees it: one object, its members known,
// nothing twice. Layout rules (offsets, coverage) are file.cpp's.
// Source: docs/safetensors.md, "Header".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace foretoken::safetensors {

/// One tensor as the header spells it; nothing is checked against the data yet.
struct HeaderTensor {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Header {
  std::vector<HeaderTensor> tensors;  ///< in header order
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// Parses the header's text. Throws FormatError naming `file` for anything but a strict JSON object
/// of tensors {dtype, shape, data_offsets} and at most one __metadata__ of strings: other members,
/// members given twice, numbers that are not integers in [0, 2^63), bytes that are not UTF-8.
Header parse_header(std::string_view text, const std::string& file);

}  // namespace foretoken::safetensors
