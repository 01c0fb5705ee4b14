// Any bytes as model.safetensors.index.json: a FormatError, or a map whose file names stay inside
// their folder.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "safetensors/index_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foretoken;
  try {
    const auto map =
        safetensors::parse_index({reinterpret_cast<const char*>(data), size}, "index.json");
    if (map.empty()) std::abort();
    for (const auto& [tensor, file] : map) {
      const std::filesystem::path path = std::filesystem::path("folder") / file;
      if (path.lexically_normal().parent_path() != "folder") std::abort();
    }
  } catch (const FormatError&) {
  }
  return 0;
}
