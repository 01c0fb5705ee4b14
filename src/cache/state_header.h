// The first section of a state file: what the states belong to, and how much of everything follows.
// Format: docs/state-files.md, "Header".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "cache/checkpoint_file.h"

namespace foretoken::cache {

inline constexpr std::uint32_t kStateFileVersion = 1;
/// Numbers of StateIdentity but the fingerprint, in the order of the format.
inline constexpr std::size_t kIdentityNumbers = 17;
/// Magic, version, n_checkpoints, fingerprint, the numbers, zero, three counts; without checksum.
inline constexpr std::size_t kStateHeaderBytes = 8 + 4 + 4 + 8 + 4 * kIdentityNumbers + 4 + 3 * 8;

struct StateSizes;

struct StateHeader {
  std::uint64_t fingerprint = 0;
  std::array<std::uint32_t, kIdentityNumbers> numbers{};
  std::uint32_t n_checkpoints = 0;
  std::uint64_t n_kv_pages = 0;
  std::uint64_t n_mtp_pages = 0;
  std::uint64_t records_bytes = 0;  ///< all records with their checksums

  /// Sets fingerprint and numbers.
  void set_identity(const StateIdentity& identity);
  /// Throws UnsupportedError saying what differs and what to try.
  void require_identity(const StateIdentity& identity, const std::string& file) const;

  /// Bytes of the whole file. Requires counts that were checked or counted.
  std::uint64_t file_bytes(const StateSizes& sizes) const;

  std::array<std::byte, kStateHeaderBytes> encode() const;
  /// Magic, version and the zero are checked, nothing else. Throws FormatError or UnsupportedError.
  static StateHeader decode(std::span<const std::byte> bytes, const std::string& file);
};

/// How large the parts of a checkpoint of some identity are. Throws RequestError for a type that no
/// cache has.
struct StateSizes {
  explicit StateSizes(const StateIdentity& identity);

  /// Three sections: matrices, convolution inputs, hidden row.
  std::size_t state_bytes() const { return (n_matrix + n_conv + n_hidden) * sizeof(float); }
  /// Pages of the head for a sequence with `n_pages` pages.
  std::size_t mtp_pages(std::size_t n_pages) const { return mtp_page > 0 ? n_pages : 0; }

  std::size_t kv_page = 0;   ///< bytes
  std::size_t mtp_page = 0;  ///< bytes; 0 without a head
  std::size_t n_matrix = 0;  ///< floats of the delta nets' matrices
  std::size_t n_conv = 0;    ///< floats of their convolution inputs
  std::size_t n_hidden = 0;  ///< floats
};

inline constexpr std::size_t kChecksumBytes = sizeof(std::uint64_t);
/// Sections of a checkpoint's state.
inline constexpr std::size_t kStateSections = 3;
/// n_tokens, n_kv_pages, n_mtp_pages of a record.
inline constexpr std::size_t kRecordHeaderBytes = 3 * sizeof(std::uint32_t);

/// Checksum of a section's bytes: XXH3 (64 bits), seeded with the section's offset in the file, so
/// that a section in another's place is noticed too.
std::uint64_t section_checksum(std::span<const std::byte> bytes, std::uint64_t offset);

}  // namespace foretoken::cache
