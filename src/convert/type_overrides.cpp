// Parsing and matching of types given by hand.
#include "convert/type_overrides.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <system_error>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::convert {
namespace {

// std::regex recurses once for each repetition and each group, so a longer one could end the
// program; names have at most 63 bytes.
constexpr std::size_t kMaxPatternBytes = 512;

}  // namespace

void TypeOverrides::add(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size()) {
    throw RequestError(fmt::format(
        "{} is not of the form PATTERN=TYPE; for example attn_q=q8_0 or 'blk\\.(0|1)\\.=q6_k'",
        quoted(text)));
  }
  const std::string_view type_name = text.substr(equals + 1);
  const auto type = quant::find_type_by_name(type_name);
  if (!type) {
    throw RequestError(fmt::format("{} in {} is no tensor type; for example q8_0, q6_k or bf16",
                                   quoted(type_name), quoted(text)));
  }
  std::string pattern(text.substr(0, equals));
  if (pattern.size() > kMaxPatternBytes) {
    throw RequestError(fmt::format("the pattern {} has {} bytes, at most {} are possible",
                                   quoted(pattern), pattern.size(), kMaxPatternBytes));
  }
  std::transform(pattern.begin(), pattern.end(), pattern.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  try {
    entries_.push_back({std::regex(pattern), *type});
  } catch (const std::regex_error& error) {
    throw RequestError(
        fmt::format("the pattern {} is no regular expression: {}", quoted(pattern), error.what()));
  }
}

void TypeOverrides::add_file(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    throw IoError(fmt::format("cannot read {}: {}", path, std::generic_category().message(errno)));
  for (std::string text; file >> text;) {
    try {
      add(text);
    } catch (const RequestError& error) {
      throw RequestError(fmt::format("{}: {}", path, error.what()));
    }
  }
  if (file.bad()) throw IoError(fmt::format("cannot read {}", path));
}

std::optional<quant::Type> TypeOverrides::find(const std::string& tensor_name) const {
  for (const Override& entry : entries_) {
    try {
      if (std::regex_search(tensor_name, entry.pattern)) return entry.type;
    } catch (const std::regex_error& error) {
      throw RequestError(
          fmt::format("a pattern of --tensor-type is too hard to match: {}", error.what()));
    }
  }
  return std::nullopt;
}

}  // namespace foretoken::convert
