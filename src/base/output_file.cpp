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

// What a plain creation asks for; the system takes the user's mask off.
constexpr mode_t kMode = 0666;

mode_t mode_of(FileAccess access) { return access == FileAccess::OwnerOnly ? 0600 : kMode; }

// A name beside `path`, another one with each call. Somebody may have it all the same: processes of
// two containers can have equal numbers.
std::string new_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return fmt::format("{}.part-{}-{}", path, ::getpid(), counter++);
}

std::string link_of(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

}  // namespace

OutputFile::OutputFile(const std::string& path, FileAccess access) : path_(path) {
  refuse_special();
  const mode_t mode = mode_of(access);
  fd_ = ::open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
  if (fd_ >= 0) {
    // Without /proc it could never get a name, which would show when all the work is done.
    if (::access(link_of(fd_).c_str(), F_OK) == 0) return;
    ::close(fd_);
  } else if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
    // Overlays and network file systems may not know unnamed files; this is a real refusal.
    throw_io("create", errno);
  }
  do {
    temporary_ = new_name(path);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  } while (fd_ < 0 && errno == EEXIST);
  if (fd_ < 0) throw_io("create", errno);
}

OutputFile::OutputFile(const std::string& path, const std::string& unfinished)
    : path_(path), temporary_(unfinished), keep_(true) {
  refuse_special();
  fd_ = ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kMode);
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
  // Not posix_fallocate, which where the system call is missing writes into every block, and reads
  // from a file that already has a size: this one is open for writing only.
  int error = EINTR;
  while (error == EINTR) {
    error = ::fallocate(fd_, 0, 0, static_cast<off_t>(size)) == 0 ? 0 : errno;
  }
  if (error == 0) return;
  // Where room cannot be set aside the size can still be set; a full disk then shows later.
  if (error != EOPNOTSUPP && error != EINVAL && error != ENOSYS) {
    throw_io(fmt::format("set aside {} bytes", size), error);
  }
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
    // At the end of the source, across file systems that cannot do it, in containers that forbid
    // the call: by hand, which also tells a source that cannot be read from a disk that is full.
    break;
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
    const std::string self = link_of(fd_);
    std::string name = new_name(path_);
    while (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      if (errno != EEXIST) throw_io("name", errno);
      name = new_name(path_);
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

void OutputFile::refuse_special() const {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return;
  throw IoError(
      fmt::format("{}: cannot create: {} is there, and putting a file in its place would destroy "
                  "it; choose another name",
                  path_, S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket"));
}

void OutputFile::throw_io(std::string_view action, int error) const {
  throw IoError(
      fmt::format("{}: cannot {}: {}", path_, action, std::generic_category().message(error)));
}

}  // namespace foretoken
