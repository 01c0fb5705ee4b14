#include "convert/split_files.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"

namespace foretoken::convert {
namespace {

constexpr std::size_t kMaxFiles = 65535;  // split.count has 16 bits

std::size_t target_bytes(const TensorTarget& tensor) {
  return tensor.source->n_rows() * quant::row_bytes(tensor.type, tensor.source->n_cols());
}

/// The tensors of each file.
std::vector<std::vector<TensorTarget>> distribute(std::vector<TensorTarget>&& tensors,
                                                  const SplitLimits& limits) {
  std::vector<std::vector<TensorTarget>> files(limits.keys_alone ? 2 : 1);
  std::size_t n_bytes = 0;
  for (TensorTarget& tensor : tensors) {
    const std::size_t size = target_bytes(tensor);
    const bool full = limits.max_tensors > 0 && files.back().size() >= limits.max_tensors;
    const bool large = limits.max_bytes > 0 && n_bytes + size > limits.max_bytes;
    if (!files.back().empty() && (full || large)) {
      files.emplace_back();
      n_bytes = 0;
    }
    n_bytes += size;
    files.back().push_back(std::move(tensor));
  }
  return files;
}

}  // namespace

std::vector<FileTarget> split_target(FileTarget target, const SplitLimits& limits) {
  std::vector<FileTarget> out;
  if (!limits.any()) {
    out.push_back(std::move(target));
    return out;
  }
  const std::size_t n_tensors = target.tensors.size();
  auto files = distribute(std::move(target.tensors), limits);
  if (files.size() == 1) {
    target.tensors = std::move(files.front());
    out.push_back(std::move(target));
    return out;
  }
  if (files.size() > kMaxFiles) {
    throw RequestError(fmt::format("{}: these limits make {} files; at most {} are possible",
                                   target.path, files.size(), kMaxFiles));
  }
  const std::filesystem::path path(target.path);
  for (std::size_t i = 0; i < files.size(); ++i) {
    FileTarget& part = out.emplace_back();
    const auto name =
        fmt::format("{}-{:05d}-of-{:05d}.gguf", path.stem().string(), i + 1, files.size());
    part.path = (path.parent_path() / name).string();
    if (i == 0) part.keys = target.keys;
    part.keys.set_u16("split.no", static_cast<std::uint16_t>(i));
    part.keys.set_u16("split.count", static_cast<std::uint16_t>(files.size()));
    part.keys.set_i32("split.tensors.count", static_cast<std::int32_t>(n_tensors));
    part.tensors = std::move(files[i]);
  }
  return out;
}

}  // namespace foretoken::convert
