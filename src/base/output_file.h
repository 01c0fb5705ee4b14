// A file that appears whole or not at all: written under a temporary name in the same folder,
// synced, then renamed over the target.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace foretoken {

/// Move-free owner of an unfinished output. Destroyed before commit(), it leaves no trace.
class OutputFile {
 public:
  /// Creates the temporary file beside `path`. Throws IoError with the system's reason.
  explicit OutputFile(const std::string& path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// Appends. Throws IoError (disk full, ...).
  void write(std::span<const std::byte> bytes);
  /// Syncs, renames onto the target, syncs the folder. Throws IoError; nothing may be called after.
  void commit();

 private:
  [[noreturn]] void throw_io(const char* action, int error) const;

  std::string path_;
  std::string temporary_;
  int fd_ = -1;
};

}  // namespace foretoken
