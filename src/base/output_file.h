// A file that appears whole or not at all: written without a name in its folder (or, where the file
// system cannot do that, under a temporary one), synced, then put under its own. A process killed
// half-way leaves nothing, or the file of the temporary name.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace foretoken {

/// Who may read a finished output.
enum class FileAccess {
  Everybody,  ///< as the user's mask has it, like any file
  OwnerOnly,  ///< what somebody said in private: mode 0600, whatever the mask
};

/// Owner of an unfinished output. Destroyed before commit(), it leaves no trace, unless it was made
/// to be gone on with.
class OutputFile {
 public:
  /// Creates the unfinished file beside `path`. Throws IoError with the system's reason, or when
  /// there is a folder, device, pipe or socket of that name.
  explicit OutputFile(const std::string& path, FileAccess access = FileAccess::Everybody);
  /// An output that can be gone on with after an interruption: it is the file `unfinished` (on the
  /// same file system; created when absent) until commit(), and stays that when this object is
  /// destroyed before. Throws IoError.
  OutputFile(const std::string& path, const std::string& unfinished);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  const std::string& path() const { return path_; }

  /// Appends at the end of what write() wrote before. Throws IoError (disk full, ...).
  void write(std::span<const std::byte> bytes);
  /// Sets aside room for a file of `size` bytes, so that a full disk is noticed before the work and
  /// not after it. Bytes never written are zeros. Throws IoError.
  void reserve(std::size_t size);
  /// Puts bytes at `offset`. Thread-safe for ranges that do not overlap. Throws IoError.
  void write_at(std::size_t offset, std::span<const std::byte> bytes);
  /// Copies `size` bytes at `source_offset` of an open file to `offset` inside the kernel, sharing
  /// blocks where the file system can. Thread-safe like write_at. Throws IoError naming
  /// `source_path` when that ends too early or cannot be read.
  void copy_at(std::size_t offset, int source_fd, std::size_t source_offset, std::size_t size,
               const std::string& source_path);
  /// Syncs, puts the file under its name (replacing what was there), syncs the folder. Throws
  /// IoError; nothing may be called after.
  void commit();

 private:
  void refuse_special() const;
  [[noreturn]] void throw_io(std::string_view action, int error) const;

  std::string path_;
  std::string temporary_;  // empty while the file has no name
  bool keep_ = false;
  int fd_ = -1;
};

}  // namespace foretoken
