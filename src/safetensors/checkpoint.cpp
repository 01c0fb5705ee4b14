#include "safetensors/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "safetensors/index_json.h"

namespace foretoken::safetensors {
namespace {

namespace fs = std::filesystem;

// The index of the largest published checkpoints has a few megabytes.
constexpr std::size_t kMaxIndexBytes = 100'000'000;

std::optional<WeightMap> read_index(const fs::path& folder) {
  const fs::path path = folder / kIndexFileName;
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  const MappedFile file(path.string());
  const auto bytes = file.bytes();
  if (bytes.size() > kMaxIndexBytes) {
    throw FormatError(fmt::format("{}: {} bytes; expected an index of at most {}", path.string(),
                                  bytes.size(), kMaxIndexBytes));
  }
  return parse_index({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

/// Without an index: the files that llama.cpp's converter would take.
std::set<std::string> list_model_files(const fs::path& folder) {
  std::set<std::string> names;
  bool other_format = false;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; entry != end && !error;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("model") && name.ends_with(".safetensors")) names.insert(name);
    other_format = other_format || name.starts_with("pytorch_model");
  }
  if (error) {
    throw IoError(fmt::format("{}: cannot list the folder: {}", folder.string(), error.message()));
  }
  if (names.empty()) {
    throw IoError(fmt::format(
        "{}: no model*.safetensors here; expected a folder with a checkpoint's weights{}",
        folder.string(),
        other_format ? ". It has pytorch_model files: save it again as safetensors" : ""));
  }
  return names;
}

std::set<std::string> files_of(const WeightMap& map) {
  std::set<std::string> names;
  for (const auto& [tensor, file] : map) names.insert(file);
  return names;
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw IoError(fmt::format("{}: {}; expected the folder of a checkpoint", folder,
                              fs::exists(folder, error) ? "not a folder" : "no such folder"));
  }
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  const std::optional<WeightMap> map = read_index(folder);
  checkpoint.has_index_ = map.has_value();
  const std::set<std::string> names = map ? files_of(*map) : list_model_files(folder);
  for (const std::string& name : names) {
    const fs::path path = fs::path(folder) / name;
    if (map && !fs::exists(path, error)) {
      throw IoError(fmt::format("{}: missing, but {} names it; fetch this file too", path.string(),
                                kIndexFileName));
    }
    checkpoint.files_.push_back(File::open(path.string()));
  }
  checkpoint.index_tensors(map);
  return checkpoint;
}

Checkpoint Checkpoint::open_file(const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.folder_ = fs::path(path).parent_path().string();
  checkpoint.files_.push_back(File::open(path));
  checkpoint.index_tensors(std::nullopt);
  return checkpoint;
}

void Checkpoint::index_tensors(const std::optional<WeightMap>& map) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    for (const TensorInfo& tensor : files_[i].tensors()) {
      tensors_.push_back({static_cast<int>(i), &tensor});
    }
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const TensorRef& tensor = tensors_[i];
    const std::string& path = files_[static_cast<std::size_t>(tensor.file)].path();
    const auto [place, is_new] = index_.emplace(tensor.name(), i);
    if (!is_new) {
      const TensorRef& first = tensors_[place->second];
      throw FormatError(fmt::format("{}: tensor {} is also in {}; expected every tensor once", path,
                                    quoted(tensor.name()),
                                    files_[static_cast<std::size_t>(first.file)].path()));
    }
    if (!map) continue;
    const auto mapped = map->find(tensor.name());
    const std::string name = fs::path(path).filename().string();
    if (mapped == map->end() || mapped->second != name) {
      throw FormatError(fmt::format(
          "{}: tensor {} is here, but {} {}; the files are not of one checkpoint, fetch them again",
          path, quoted(tensor.name()), kIndexFileName,
          mapped == map->end() ? "does not list it" : "says it is in " + quoted(mapped->second)));
    }
  }
  if (!map) return;
  for (const auto& [tensor, file] : *map) {
    if (index_.contains(tensor)) continue;
    throw FormatError(
        fmt::format("{}: tensor {} is missing, but {} says it is here; fetch the "
                    "file again",
                    (fs::path(folder_) / file).string(), quoted(tensor), kIndexFileName));
  }
}

const TensorRef* Checkpoint::find_tensor(std::string_view name) const {
  const auto place = index_.find(name);
  return place == index_.end() ? nullptr : &tensors_[place->second];
}

}  // namespace foretoken::safetensors
