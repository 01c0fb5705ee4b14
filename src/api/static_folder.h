// A folder of files that somebody serves in place of the built-in page (--path). Only regular files
// that really lie inside it are given out, whatever the path says and wherever links point.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace foretoken::api {

class StaticFolder {
 public:
  /// Throws IoError when `root` is not a folder.
  explicit StaticFolder(const std::string& root);

  struct File {
    std::filesystem::path path;  ///< real, inside the folder
    std::uint64_t size_bytes = 0;
    std::string etag;  ///< weak, from size and time of change
  };
  /// The file for a decoded request path ("/a/b.js"; "/" and "/a/" mean index.html there). Nothing
  /// when there is none, or for a path that is not plain: "..", ".", empty segments, hidden names,
  /// backslashes, control bytes, a link that leads out.
  std::optional<File> find(std::string_view request_path) const;

  /// The content. Throws IoError when it cannot be read, or is larger than kMaxBytes.
  static std::string read(const File& file);
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{256} << 20;

 private:
  std::filesystem::path root_;
};

}  // namespace foretoken::api
