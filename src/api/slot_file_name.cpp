// See slot_file_name.h.
#include "api/slot_file_name.h"

#include <fmt/format.h>

#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::api {

std::string checked_slot_file_name(const std::string& name) {
  constexpr std::size_t kLongest = 255;
  const bool bad = name.empty() || name.size() > kLongest || name.front() == '.' ||
                   name.find("..") != std::string::npos ||
                   name.find_first_of(std::string_view("/\\:*?\"<>|\0", 10)) != std::string::npos ||
                   name.back() == ' ' || name.back() == '.' || printable(name, kLongest) != name;
  if (bad) {
    throw RequestError(
        fmt::format("Invalid filename {}: a plain name is expected, without folders, leading dots "
                    "or control characters, at most {} bytes",
                    quoted(name), kLongest));
  }
  return name;
}

}  // namespace foretoken::api
