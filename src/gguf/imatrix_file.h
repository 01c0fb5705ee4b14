// Importance matrices on disk: for each weight the sums of squared inputs per column, from which a
// quantizer learns where an error costs most. Two forms: GGUF (read and written) and the older
// .dat (read and written), told apart by their first bytes.
// Source: docs/quantize.md, "Importance matrices"; tools/imatrix and common/imatrix-loader.cpp of
// llama.cpp de3ff815.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace foretoken::gguf {

/// What one weight's inputs were like.
struct ImatrixEntry {
  std::vector<float> sums;  ///< [n_cols] sum of squares over all rows seen; finite, >= 0
  std::uint64_t count = 0;  ///< rows seen; 0 when the weight was never used
};

struct ImatrixFile {
  std::vector<std::string> datasets;  ///< paths of the texts, as the maker was given them
  std::uint32_t chunk_count = 0;      ///< chunks of text that went in
  std::uint32_t chunk_size = 0;       ///< tokens of a chunk; 0 in a file of the older form
  /// By the weight's name in the model ("blk.0.ffn_down.weight").
  std::map<std::string, ImatrixEntry> entries;
  /// The file was of the older form, whose counts are chunks and whose sums are means over tokens
  /// times chunks. weights_of() does not care; merge_imatrix() does.
  bool legacy = false;
};

/// Reads either form. Throws IoError when the file cannot be read, FormatError naming file and
/// entry when it breaks a rule (no entries, a sum without its count, other types than F32, numbers
/// that are negative or not finite), UnsupportedError for entries with one matrix per expert.
ImatrixFile read_imatrix(const std::string& path);
/// The same for bytes in memory; `name` stands in error texts.
ImatrixFile read_imatrix(std::span<const std::byte> bytes, const std::string& name);

/// Writes the GGUF form with llama-imatrix's keys, order and bytes; it appears whole or not at all.
/// Throws RequestError for a file with legacy counts, without entries or with a name longer than 55
/// bytes, IoError.
void write_imatrix(const std::string& path, const ImatrixFile& file);
/// Writes the older form, which tools from before the GGUF form read. Of several datasets it keeps
/// the last. Throws like write_imatrix; needs a chunk_size.
void write_legacy_imatrix(const std::string& path, const ImatrixFile& file);

/// Adds what `from` saw to `into`: sums and counts add up, datasets are appended, chunk_count
/// follows from the largest count. Counts of a legacy `from` are taken as chunks of
/// into.chunk_size tokens. Throws RequestError when a weight has different lengths in the two, when
/// sums overflow, when `into` is legacy itself or has no chunk_size; `into` is unchanged then.
void merge_imatrix(ImatrixFile& into, const ImatrixFile& from);

/// What a quantizer multiplies squared errors with, [n_cols]: sums / count, or ones when the weight
/// was never used.
std::vector<float> weights_of(const ImatrixEntry& entry);

}  // namespace foretoken::gguf
