// Anonymous mappings: zeroed by the kernel, backed page by page on first touch. Untouched pages are
// not reserved in advance, so a cache sized for a long context costs what is used of it.
#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "base/error.h"

namespace foretoken {

PageMemory::PageMemory(std::size_t size_bytes) : size_bytes_(size_bytes) {
  if (size_bytes == 0) return;
  void* mapped = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    size_bytes_ = 0;
    throw IoError("cannot reserve " + std::to_string(size_bytes) +
                  " bytes of memory: " + std::generic_category().message(errno) +
                  "; try a smaller context (-c) or a smaller file");
  }
  data_ = static_cast<std::byte*>(mapped);
}

PageMemory::~PageMemory() {
  if (data_ != nullptr) munmap(data_, size_bytes_);
}

void PageMemory::discard() {
  if (data_ != nullptr) madvise(data_, size_bytes_, MADV_DONTNEED);
}

void PageMemory::prefer_large_pages() {
#if defined(MADV_HUGEPAGE)
  if (data_ != nullptr) madvise(data_, size_bytes_, MADV_HUGEPAGE);
#endif
}

}  // namespace foretoken
