// A bounded little-endian cursor over bytes that came from outside. Every read is checked against
// what is left, and a failed check says which file, where, what was wanted and how much there was.
#pragma once

#include <fmt/format.h>

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace foretoken {

static_assert(std::endian::native == std::endian::little,
              "file values are copied as they are; a big-endian host needs a swap here");

/// Reads forward through `bytes`, which must outlive the cursor and every span it returns.
class ByteCursor {
 public:
  /// `file` names the source in error texts.
  ByteCursor(std::span<const std::byte> bytes, std::string file)
      : bytes_(bytes), file_(std::move(file)) {}

  const std::string& file() const { return file_; }
  std::size_t position() const { return position_; }
  std::size_t remaining() const { return bytes_.size() - position_; }

  /// Next value of a fixed-width type; it need not be aligned. `what` names it in the error.
  template <class T>
  requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) T read(std::string_view what) {
    T value;
    std::memcpy(&value, read_bytes(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  /// Next `count` bytes, borrowed. Throws FormatError when fewer are left.
  std::span<const std::byte> read_bytes(std::uint64_t count, std::string_view what) {
    if (count > remaining()) {
      throw FormatError(
          fmt::format("{}: offset {}: {} needs {} bytes but {} are left; the file is cut short or "
                      "damaged, fetch it again",
                      file_, position_, what, count, remaining()));
    }
    const auto out = bytes_.subspan(position_, static_cast<std::size_t>(count));
    position_ += static_cast<std::size_t>(count);
    return out;
  }

  /// The bytes [begin, end), already read. Requires begin <= end <= position().
  std::span<const std::byte> window(std::size_t begin, std::size_t end) const {
    assert(begin <= end && end <= position_);
    return bytes_.subspan(begin, end - begin);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string file_;
  std::size_t position_ = 0;
};

/// Value at the start of `bytes`, unaligned. Requires bytes.size() >= sizeof(T).
template <class T>
requires std::is_trivially_copyable_v<T> T load_le(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

}  // namespace foretoken
