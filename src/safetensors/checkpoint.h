// The weights of a checkpoint folder: one model.safetensors, or shards listed by
// model.safetensors.index.json, seen as one list of tensors.
// Source: docs/safetensors.md, "Sharded checkpoints".
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "safetensors/file.h"
#include "safetensors/index_json.h"

namespace foretoken::safetensors {

/// Where a tensor of a checkpoint is.
struct TensorRef {
  int file = 0;                      ///< index into Checkpoint::files()
  const TensorInfo* info = nullptr;  ///< lives as long as the checkpoint

  const std::string& name() const { return info->name; }
};

/// Move-only. Const access is thread-safe.
class Checkpoint {
 public:
  /// Opens a folder. With an index: every file it names (plain names only), whose tensors must be
  /// exactly the index's; without one all model*.safetensors. Throws IoError, FormatError or
  /// UnsupportedError with file and tensor, and says what is missing when the folder holds none.
  static Checkpoint open(const std::string& folder);
  /// One file as a checkpoint of its own; folder() is the folder that it is in.
  static Checkpoint open_file(const std::string& path);

  const std::string& folder() const { return folder_; }
  /// Sorted by file name.
  std::span<const File> files() const { return files_; }
  /// Whether an index file was there.
  bool has_index() const { return has_index_; }
  /// File by file, within a file by name: the order of llama.cpp's converter.
  std::span<const TensorRef> tensors() const { return tensors_; }
  /// Null when absent.
  const TensorRef* find_tensor(std::string_view name) const;
  std::span<const std::byte> data(const TensorRef& tensor) const {
    return files_[static_cast<std::size_t>(tensor.file)].data(*tensor.info);
  }
  void drop_pages(const TensorRef& tensor) const {
    files_[static_cast<std::size_t>(tensor.file)].drop_pages(*tensor.info);
  }

 private:
  Checkpoint() = default;
  void index_tensors(const std::optional<WeightMap>& map);

  std::string folder_;
  std::vector<File> files_;
  std::vector<TensorRef> tensors_;
  std::map<std::string_view, std::size_t> index_;  // name -> position in tensors_
  bool has_index_ = false;
};

}  // namespace foretoken::safetensors
