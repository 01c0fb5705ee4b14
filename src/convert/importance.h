// An importance matrix as a quantizer uses it: a weight for every column of every matrix, filtered
// by name, and the keys that tell readers of the file what was used. Source: docs/quantize.md,
// "Importance matrices"; tools/quantize of llama.cpp de3ff815.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "gguf/imatrix_file.h"
#include "gguf/writer.h"

namespace foretoken::convert {

/// By tensor name: [n_cols] weights of squared errors. Empty means: no importance matrix.
using Importances = std::map<std::string, std::vector<float>>;

/// Which entries to use; a name is a part of the entry's. At most one list may be set.
struct ImportanceFilter {
  std::vector<std::string> include;  ///< only entries that contain one of these
  std::vector<std::string> exclude;  ///< no entries that contain one of these
};

/// Throws FormatError naming the entry when weights are not finite.
Importances make_importances(const gguf::ImatrixFile& file, const ImportanceFilter& filter = {});

/// Sets the quantize.imatrix.* keys, in llama-quantize's order; texts are cut to 127 bytes.
void set_importance_keys(gguf::Writer& keys, const std::string& path, const gguf::ImatrixFile& file,
                         std::size_t n_entries);

}  // namespace foretoken::convert
