// See static_folder.h.
#include "api/static_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <system_error>

#include "base/error.h"

namespace foretoken::api {
namespace {

namespace fs = std::filesystem;

/// A name as a person would give a file of a page. Hidden ones (".git", ".env") stay hidden, and
/// with them "." and "..".
bool is_plain(std::string_view segment) {
  if (segment.empty() || segment.front() == '.') return false;
  return std::ranges::none_of(segment, [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '\\' || c == 0x7f;
  });
}

/// The path below the root, or nothing when any segment is not plain.
std::optional<fs::path> relative_path(std::string_view request_path) {
  if (!request_path.starts_with('/')) return std::nullopt;
  request_path.remove_prefix(1);
  fs::path out;
  while (!request_path.empty()) {
    const std::size_t slash = request_path.find('/');
    const std::string_view segment = request_path.substr(0, slash);
    if (!is_plain(segment)) return std::nullopt;
    out /= segment;
    if (slash == std::string_view::npos) return out;
    request_path.remove_prefix(slash + 1);
  }
  return out / "index.html";
}

bool is_inside(const fs::path& root, const fs::path& path) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

}  // namespace

StaticFolder::StaticFolder(const std::string& root) {
  std::error_code error;
  root_ = fs::canonical(root, error);
  if (error || !fs::is_directory(root_, error)) {
    throw IoError(fmt::format(
        "{}: is no folder that can be read; --path wants the folder of a page's files", root));
  }
}

std::optional<StaticFolder::File> StaticFolder::find(std::string_view request_path) const {
  const std::optional<fs::path> relative = relative_path(request_path);
  if (!relative) return std::nullopt;
  std::error_code error;
  File file;
  file.path = fs::canonical(root_ / *relative, error);
  if (error || !is_inside(root_, file.path) || !fs::is_regular_file(file.path, error)) {
    return std::nullopt;
  }
  file.size_bytes = fs::file_size(file.path, error);
  const auto changed = fs::last_write_time(file.path, error);
  if (error) return std::nullopt;
  file.etag = fmt::format("W/\"{:x}-{:x}\"", file.size_bytes,
                          static_cast<std::uint64_t>(changed.time_since_epoch().count()));
  return file;
}

std::string StaticFolder::read(const File& file) {
  if (file.size_bytes > kMaxBytes) {
    throw IoError(fmt::format("{}: has {} bytes, more than the {} MiB that are served from --path",
                              file.path.string(), file.size_bytes, kMaxBytes >> 20));
  }
  std::string content(static_cast<std::size_t>(file.size_bytes), '\0');
  std::ifstream stream(file.path, std::ios::binary);
  stream.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (!stream) {
    throw IoError(fmt::format("{}: could not be read whole", file.path.string()));
  }
  return content;
}

}  // namespace foretoken::api
