// SHA-256 of files and texts, by OpenSSL: what a model card prints beside each file, so that a
// download can be checked.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace foretoken::release {

using Sha256 = std::array<std::byte, 32>;

/// Of bytes in memory.
Sha256 sha256(std::span<const std::byte> bytes);
Sha256 sha256(std::string_view text);

/// Of a whole file, read front to back; `progress` is called with the bytes read so far and returns
/// false to stop (Cancelled is thrown). Throws IoError.
Sha256 sha256_of_file(const std::string& path,
                      const std::function<bool(std::size_t done)>& progress = {});

/// 64 lower-case hexadecimal digits.
std::string to_hex(const Sha256& hash);

}  // namespace foretoken::release
