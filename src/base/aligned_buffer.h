// Owned, 64-byte aligned, move-only array for kernels. Large buffers come from anonymous mappings,
// so untouched pages of a big cache cost no memory, and every byte starts as zero.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

namespace foretoken {

/// Zeroed, page-granular memory from the operating system. Throws IoError when there is none.
/// The pages are only backed once touched; `discard` gives them back and makes them zero again.
class PageMemory {
 public:
  PageMemory() = default;
  explicit PageMemory(std::size_t size_bytes);
  PageMemory(PageMemory&& other) noexcept { swap(other); }
  PageMemory& operator=(PageMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;
  ~PageMemory();

  std::byte* data() const { return data_; }
  std::size_t size_bytes() const { return size_bytes_; }
  void discard();
  /// Asks for large pages, which suits memory that is written once and then streamed. A wish: no
  /// effect where the system has none to give. To be said before the memory is touched.
  void prefer_large_pages();

 private:
  void swap(PageMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_bytes_, other.size_bytes_);
  }
  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

/// Array of `count` zeroed elements of a trivial type, 64-byte aligned. Throws IoError when there
/// is not so much memory.
template <class T>
requires std::is_trivially_copyable_v<T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t count) : memory_(bytes_of(count)), size_(count) {}
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : memory_(std::move(other.memory_)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    memory_ = std::move(other.memory_);
    std::swap(size_, other.size_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() = default;

  T* data() const { return reinterpret_cast<T*>(memory_.data()); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) const { return data()[i]; }
  std::span<T> span() const { return {data(), size_}; }
  /// Replaces the buffer when it is smaller than `count`; contents are then lost.
  void grow_to(std::size_t count) {
    if (count > size_) *this = AlignedBuffer(count);
  }
  void discard() { memory_.discard(); }
  void prefer_large_pages() { memory_.prefer_large_pages(); }

 private:
  // A product that does not fit becomes the largest size, which the system refuses.
  static std::size_t bytes_of(std::size_t count) {
    constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
    return count > kMost / sizeof(T) ? kMost : count * sizeof(T);
  }

  PageMemory memory_;
  std::size_t size_ = 0;
};

}  // namespace foretoken
