// O_TMPFILE, fsync, link, rename. A link cannot replace a file, so a finished file gets a temporary
// name for the moment between the two. The folder is synced too, or a crash could lose the rename.
#include "base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "base/error.h"

namespace foretoken {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The permissions a plain creation would give; mkostemp makes its file private.
mode_t default_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

// A name beside `path` that no other OutputFile of any living process uses.
std::string unique_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return fmt::format("{}.part-{}-{}", path, ::getpid(), counter++);
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path) {
  fd_ = ::open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, default_mode());
  if (fd_ >= 0) return;
  // Overlays and network file systems may not know unnamed files; anything else is a real refusal.
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) throw_io("create", errno);
  temporary_ = path + ".part-XXXXXX";
  fd_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (fd_ < 0) throw_io("create", errno);
  ::fchmod(fd_, default_mode());
}

OutputFile::OutputFile(const std::string& path, const std::string& unfinished)
    : path_(path), temporary_(unfinished), keep_(true) {
  fd_ = ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, default_mode());
  if (fd_ < 0) throw_io("create", errno);
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (!temporary_.empty() && !keep_) ::unlink(temporary_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_io("write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void OutputFile::reserve(std::size_t size) {
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(fd_, 0, static_cast<off_t>(size));
  if (error == 0) return;
  // Where room cannot be set aside the size can still be set; a full disk then shows later.
  if (error != EOPNOTSUPP && error != EINVAL) throw_io("set aside room for", error);
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) throw_io("write", errno);
}

void OutputFile::write_at(std::size_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_io("write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::size_t>(n);
  }
}

void OutputFile::copy_at(std::size_t offset, int source_fd, std::size_t source_offset,
                         std::size_t size, const std::string& source_path) {
  auto from = static_cast<off_t>(source_offset);
  auto to = static_cast<off_t>(offset);
  while (size > 0) {
    const ssize_t n = ::copy_file_range(source_fd, &from, fd_, &to, size, 0);
    if (n > 0) {
      size -= static_cast<std::size_t>(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EXDEV && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS) {
      throw_io("write", errno);
    }
    break;  // across file systems that cannot do it, or at the end of the source: by hand
  }
  std::array<std::byte, std::size_t{256} * 1024> buffer;
  while (size > 0) {
    const ssize_t n = ::pread(source_fd, buffer.data(), std::min(size, buffer.size()), from);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      throw IoError(fmt::format(
          "{}: cannot read at offset {}: {}", source_path, from,
          n == 0 ? "the file has become shorter" : std::generic_category().message(errno)));
    }
    const auto got = static_cast<std::size_t>(n);
    write_at(static_cast<std::size_t>(to), std::span(buffer).first(got));
    from += n;
    to += n;
    size -= got;
  }
}

void OutputFile::commit() {
  if (::fsync(fd_) != 0) throw_io("write", errno);
  if (temporary_.empty()) {
    const std::string name = unique_name(path_);
    const std::string self = fmt::format("/proc/self/fd/{}", fd_);
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      throw_io("name", errno);
    }
    temporary_ = name;
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_io("replace", errno);
  ::close(fd_);
  fd_ = -1;
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;  // a folder that may be written but not read: the file is there
  ::fsync(folder);
  ::close(folder);
}

void OutputFile::throw_io(const char* action, int error) const {
  throw IoError(
      fmt::format("{}: cannot {}: {}", path_, action, std::generic_category().message(error)));
}

}  // namespace foretoken
