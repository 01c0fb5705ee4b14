// A file mapped read-only into memory: weights are used from the page cache without a copy, and
// pages can be given back once their contents have been repacked.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace foretoken {

/// Owned, move-only mapping of a whole regular file. Const access is thread-safe.
/// The mapping shows the file as it is: if another process shortens the file meanwhile, touching
/// the lost part ends this process (SIGBUS), as with every memory-mapped reader.
class MappedFile {
 public:
  /// How the bytes will be used; a hint to the system, never an error.
  enum class Access {
    Normal,
    Sequential,  ///< read once from front to back
    WillNeed,    ///< start reading ahead now
  };

  MappedFile() = default;
  /// Throws IoError with the system's reason when the path cannot be opened, is not a regular
  /// file, or cannot be mapped. An empty file gives an empty span.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept { swap(other); }
  MappedFile& operator=(MappedFile&& other) noexcept {
    swap(other);
    return *this;
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  /// Hints at the use of [offset, offset + size), clipped to the file.
  void advise(std::size_t offset, std::size_t size, Access access) const;
  /// Gives back the whole pages inside [offset, offset + size), clipped to the file. Their bytes
  /// stay readable (they come from the file again).
  void drop_pages(std::size_t offset, std::size_t size) const;

 private:
  void swap(MappedFile& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace foretoken
