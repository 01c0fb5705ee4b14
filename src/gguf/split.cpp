// Keys and file names of split models.
#include "gguf/split.h"

#include <fmt/format.h>

#include "base/error.h"

namespace foretoken::gguf {
namespace {

std::string suffix(int index, int count) {
  return fmt::format("-{:05d}-of-{:05d}.gguf", index + 1, count);
}

}  // namespace

SplitKeys read_split_keys(const Metadata& metadata) {
  SplitKeys keys;
  keys.count = metadata.find_u16("split.count").value_or(0);
  if (keys.count == 0) return keys;
  const auto index = metadata.find_u16("split.no");
  if (!index || *index >= keys.count) {
    throw FormatError(
        fmt::format("{}: key 'split.no' is {} although 'split.count' is {}; it must say which of "
                    "the files this is, from 0",
                    metadata.file(), index ? fmt::format("{}", *index) : "missing", keys.count));
  }
  keys.index = *index;
  keys.n_tensors = metadata.find_i32("split.tensors.count");
  return keys;
}

void check_sibling(const Metadata& sibling, const SplitKeys& first, int index) {
  const SplitKeys keys = read_split_keys(sibling);
  if (keys.index != index || keys.count != first.count) {
    throw FormatError(
        fmt::format("{}: expected file {} of {} of a split model, but 'split.no' is {} and "
                    "'split.count' is {}; the file was renamed or belongs to another model",
                    sibling.file(), index + 1, first.count, keys.index, keys.count));
  }
}

std::string split_file_name(const std::string& path, const SplitKeys& keys, int index) {
  const std::string own = suffix(keys.index, keys.count);
  if (path.size() <= own.size() || !path.ends_with(own)) {
    throw FormatError(
        fmt::format("{}: this is file {} of {} of a split model, so its name must end "
                    "in {}; give the files their original names",
                    path, keys.index + 1, keys.count, own));
  }
  return path.substr(0, path.size() - own.size()) + suffix(index, keys.count);
}

}  // namespace foretoken::gguf
