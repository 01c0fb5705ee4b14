// Read-only file mapping through POSIX calls; the only file of the project that maps files.
#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/descriptor.h"
#include "base/error.h"

namespace foretoken {
namespace {

[[noreturn]] void throw_io(const std::string& path, const char* action, int error) {
  throw IoError(path + ": cannot " + action + ": " + std::generic_category().message(error));
}

std::size_t page_size() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

void* mutable_address(const std::byte* data) {
  return const_cast<std::byte*>(data);  // the system call's signature; pages stay read-only
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  // Non-blocking, so that a named pipe is refused below instead of waited for.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) throw_io(path, "open", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_io(path, "inspect", errno);
  if (S_ISDIR(status.st_mode)) throw_io(path, "read", EISDIR);
  if (!S_ISREG(status.st_mode)) throw IoError(path + ": cannot read: not a regular file");
  if (status.st_size == 0) return;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) throw_io(path, "map into memory", errno);
  data_ = static_cast<const std::byte*>(address);
  size_ = size;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(mutable_address(data_), size_);
}

void MappedFile::advise(std::size_t offset, std::size_t size, Access access) const {
  if (data_ == nullptr || offset >= size_) return;
  const std::size_t begin = offset / page_size() * page_size();
  const std::size_t end = offset + std::min(size, size_ - offset);
  int advice = POSIX_MADV_NORMAL;
  switch (access) {
    case Access::Normal:
      advice = POSIX_MADV_NORMAL;
      break;
    case Access::Sequential:
      advice = POSIX_MADV_SEQUENTIAL;
      break;
    case Access::WillNeed:
      advice = POSIX_MADV_WILLNEED;
      break;
  }
  ::posix_madvise(mutable_address(data_ + begin), end - begin, advice);
}

void MappedFile::drop_pages(std::size_t offset, std::size_t size) const {
  if (data_ == nullptr || offset >= size_) return;
  const std::size_t page = page_size();
  const std::size_t stop = offset + std::min(size, size_ - offset);
  const std::size_t begin = offset / page * page + (offset % page != 0 ? page : 0);
  const std::size_t end = stop / page * page;
  if (begin >= end) return;
  // Not posix_madvise, whose DONTNEED does nothing in glibc.
  ::madvise(mutable_address(data_ + begin), end - begin, MADV_DONTNEED);
}

}  // namespace foretoken
