// Opening a model: one file, or the first of a split model with its siblings.
#include "gguf/file.h"

#include <fmt/format.h>

#include <cassert>
#include <numeric>

#include "base/error.h"
#include "base/text.h"
#include "gguf/parse.h"
#include "gguf/split.h"

namespace foretoken::gguf {

std::size_t TensorInfo::n_elements() const {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

File File::open(const std::string& path, const OpenOptions& options) {
  File file;
  MappedFile mapping(path);
  const auto bytes = mapping.bytes();
  file.add_part({path, std::move(mapping), bytes}, options);
  file.open_siblings(options);
  file.index_tensors();
  return file;
}

File File::from_memory(std::span<const std::byte> bytes, const std::string& name,
                       const OpenOptions& options) {
  File file;
  file.add_part({name, MappedFile(), bytes}, options);
  if (read_split_keys(file.metadata_).count > 1) {
    throw FormatError(name + ": a split model cannot be read from memory; open its first file");
  }
  file.index_tensors();
  return file;
}

void File::add_part(Part part, const OpenOptions& options) {
  ParsedFile parsed = parse_file(part.bytes, part.path, options);
  const int file_index = n_files();
  for (TensorInfo& tensor : parsed.tensors) {
    tensor.file_index = file_index;
    tensors_.push_back(std::move(tensor));
  }
  for (const std::string& warning : parsed.warnings) {
    warnings_.push_back(part.path + ": " + warning);
  }
  if (file_index == 0) {
    metadata_ = std::move(parsed.metadata);
    version_ = parsed.version;
    alignment_ = parsed.alignment;
  } else {
    check_sibling(parsed.metadata, read_split_keys(metadata_), file_index);
  }
  parts_.push_back(std::move(part));
}

void File::open_siblings(const OpenOptions& options) {
  const SplitKeys keys = read_split_keys(metadata_);
  if (keys.count == 0) return;
  if (keys.index != 0) {
    throw FormatError(
        fmt::format("{}: this is file {} of {} of a split model; open the first one, "
                    "{}",
                    path(), keys.index + 1, keys.count, split_file_name(path(), keys, 0)));
  }
  for (int i = 1; i < keys.count; ++i) {
    const std::string sibling = split_file_name(path(), keys, i);
    try {
      MappedFile mapping(sibling);
      const auto bytes = mapping.bytes();
      add_part({sibling, std::move(mapping), bytes}, options);
    } catch (const IoError& error) {
      throw IoError(
          fmt::format("{} (file {} of {} of the split model {}; all must lie in the same "
                      "folder)",
                      error.what(), i + 1, keys.count, path()));
    }
  }
  if (keys.n_tensors && *keys.n_tensors != static_cast<std::int64_t>(tensors_.size())) {
    throw FormatError(
        fmt::format("{}: key 'split.tensors.count' is {} but the {} files hold {} "
                    "tensors; the files belong to different models",
                    path(), *keys.n_tensors, keys.count, tensors_.size()));
  }
}

void File::index_tensors() {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const auto [it, inserted] = index_.emplace(tensors_[i].name, i);
    if (inserted) continue;
    const auto& first = parts_[static_cast<std::size_t>(tensors_[it->second].file_index)];
    const auto& second = parts_[static_cast<std::size_t>(tensors_[i].file_index)];
    throw FormatError(fmt::format("{}: tensor {} is also in {}", second.path,
                                  quoted(tensors_[i].name), first.path));
  }
}

const TensorInfo* File::find_tensor(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

const TensorInfo& File::require_tensor(std::string_view name) const {
  if (const TensorInfo* tensor = find_tensor(name)) return *tensor;
  throw FormatError(
      fmt::format("{}: tensor {} is missing ({} tensors are there); see `foretoken "
                  "inspect` for what the file holds",
                  path(), quoted(name), tensors_.size()));
}

std::span<const std::byte> File::data(const TensorInfo& tensor) const {
  assert(tensor.file_index >= 0 && tensor.file_index < n_files());
  return parts_[static_cast<std::size_t>(tensor.file_index)].bytes.subspan(tensor.offset,
                                                                           tensor.size_bytes);
}

void File::drop_pages(const TensorInfo& tensor) const {
  parts_[static_cast<std::size_t>(tensor.file_index)].mapping.drop_pages(tensor.offset,
                                                                         tensor.size_bytes);
}

std::size_t File::file_bytes() const {
  std::size_t total = 0;
  for (const Part& part : parts_) total += part.bytes.size();
  return total;
}

}  // namespace foretoken::gguf
