// The checked reading of one GGUF file's header: everything before its data section. Internal to
// gguf/; File (file.h) puts the parts of split models together.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "gguf/file.h"

namespace foretoken::gguf {

/// What one file says about itself. `metadata` borrows the bytes that were parsed.
struct ParsedFile {
  int version = 0;
  std::size_t alignment = 32;
  Metadata metadata;
  std::vector<TensorInfo> tensors;  ///< offsets from the start of the file; file_index 0
  std::vector<std::string> warnings;
};

/// Parses and checks a whole file. `name` stands in the texts. Throws FormatError at the first
/// broken rule, in the order of docs/gguf.md, "What is refused".
ParsedFile parse_file(std::span<const std::byte> bytes, const std::string& name,
                      const OpenOptions& options);

}  // namespace foretoken::gguf
