// Split models: <prefix>-00001-of-00003.gguf and its siblings. Internal to gguf/.
// Source: docs/gguf.md, "Split models".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gguf/metadata.h"

namespace foretoken::gguf {

/// The three keys; count 0 means "not split" (keys absent, or left behind by a merge).
struct SplitKeys {
  int index = 0;                          ///< split.no, from 0
  int count = 0;                          ///< split.count, files
  std::optional<std::int32_t> n_tensors;  ///< split.tensors.count, over all files
};

/// Throws FormatError when a key has the wrong type or the index is not below the count.
SplitKeys read_split_keys(const Metadata& metadata);

/// Throws FormatError unless `sibling` says that it is file `index` of the model of `first`.
void check_sibling(const Metadata& sibling, const SplitKeys& first, int index);

/// Path of file `index` beside `path`, which is file keys.index. Throws FormatError when `path` is
/// not named <prefix>-%05d-of-%05d.gguf after its own keys.
std::string split_file_name(const std::string& path, const SplitKeys& keys, int index);

}  // namespace foretoken::gguf
