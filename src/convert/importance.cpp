// Filtering and normalising importance matrices.
#include "convert/importance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::convert {
namespace {

// llama-quantize keeps these texts in buffers of 128 bytes.
constexpr std::size_t kMaxTextBytes = 127;

bool contains_any(std::string_view name, std::span<const std::string> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [name](const std::string& part) { return name.find(part) != name.npos; });
}

// A C string of at most 127 bytes, which may end inside a character; so it is in the files of
// llama-quantize.
std::string_view cut(std::string_view text) {
  return text.substr(0, std::min(text.find('\0'), kMaxTextBytes));
}

}  // namespace

Importances make_importances(const gguf::ImatrixFile& file, const ImportanceFilter& filter) {
  Importances out;
  for (const auto& [name, entry] : file.entries) {
    if (contains_any(name, filter.exclude)) continue;
    if (!filter.include.empty() && !contains_any(name, filter.include)) continue;
    std::vector<float> weights = gguf::weights_of(entry);
    if (!std::all_of(weights.begin(), weights.end(), [](float w) { return std::isfinite(w); })) {
      throw FormatError(fmt::format("the importance matrix's entry {} is not finite; make it again",
                                    quoted(name)));
    }
    out.emplace(name, std::move(weights));
  }
  return out;
}

void set_importance_keys(gguf::Writer& keys, const std::string& path, const gguf::ImatrixFile& file,
                         std::size_t n_entries) {
  keys.set_string("quantize.imatrix.file", cut(path));
  if (!file.datasets.empty()) {
    keys.set_string("quantize.imatrix.dataset", cut(file.datasets.front()));
  }
  keys.set_u32("quantize.imatrix.entries_count", static_cast<std::uint32_t>(n_entries));
  constexpr std::uint32_t kMax = std::numeric_limits<std::int32_t>::max();
  if (file.chunk_count > 0 && file.chunk_count <= kMax) {
    keys.set_u32("quantize.imatrix.chunks_count", file.chunk_count);
  }
}

}  // namespace foretoken::convert
