// Both forms of importance matrices, merged and normalised as llama.cpp's tools do it.
#include "gguf/imatrix_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/output_file.h"
#include "base/text.h"
#include "gguf/file.h"
#include "gguf/writer.h"

namespace foretoken::gguf {
namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr std::string_view kDatasetsKey = "imatrix.datasets";
constexpr std::string_view kChunkCountKey = "imatrix.chunk_count";
constexpr std::string_view kChunkSizeKey = "imatrix.chunk_size";
// Counts travel as floats; beyond this they would not fit an integer either.
constexpr float kMaxCount = 0x1p53F;

// Throws unless every number is finite and not negative; `where` names the entry.
void check_sums(std::span<const float> sums, const std::string& where) {
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (std::isfinite(sums[i]) && sums[i] >= 0.0F) continue;
    throw FormatError(
        fmt::format("{}: column {} has the sum {}, but sums of squares are finite and not "
                    "negative; make the importance matrix again",
                    where, i, sums[i]));
  }
}

std::vector<float> read_floats(std::span<const std::byte> bytes) {
  std::vector<float> out(bytes.size() / sizeof(float));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
  return out;
}

std::uint64_t read_count(const File& file, const TensorInfo& tensor) {
  if (tensor.n_elements() != 1) {
    throw UnsupportedError(
        fmt::format("{}: tensor {} has {} counts, one for each expert; only importance matrices of "
                    "dense models are supported",
                    file.path(), quoted(tensor.name), tensor.n_elements()));
  }
  const auto count = load_le<float>(file.data(tensor).data());
  if (!(count >= 0.0F && count <= kMaxCount)) {
    throw FormatError(fmt::format("{}: tensor {} is {}, but a count of rows is 0 or more",
                                  file.path(), quoted(tensor.name), count));
  }
  return static_cast<std::uint64_t>(std::llround(count));
}

ImatrixEntry read_entry(const File& file, const TensorInfo& sums, const std::string& weight) {
  const TensorInfo* counts = file.find_tensor(weight + std::string(kCounts));
  if (counts == nullptr) {
    throw FormatError(fmt::format("{}: tensor {} is there, but its {} is missing", file.path(),
                                  quoted(sums.name), quoted(weight + std::string(kCounts))));
  }
  for (const TensorInfo* tensor : {&sums, counts}) {
    if (tensor->type == quant::Type::F32) continue;
    throw FormatError(fmt::format("{}: tensor {} is {}, but sums and counts are F32", file.path(),
                                  quoted(tensor->name), quant::type_info(tensor->type).name));
  }
  ImatrixEntry entry;
  entry.count = read_count(file, *counts);
  entry.sums = read_floats(file.data(sums));
  check_sums(entry.sums, fmt::format("{}: tensor {}", file.path(), quoted(sums.name)));
  return entry;
}

template <class T>
T require_key(const std::optional<T>& value, const File& file, std::string_view key) {
  if (value) return *value;
  throw FormatError(
      fmt::format("{}: key '{}' is missing, so this is no importance matrix; give a file made by "
                  "`foretoken imatrix` or llama-imatrix",
                  file.path(), key));
}

ImatrixFile read_gguf(std::span<const std::byte> bytes, const std::string& name) {
  const File file = File::from_memory(bytes, name);
  const Metadata& keys = file.metadata();
  ImatrixFile out;
  for (const std::string_view dataset :
       require_key(keys.find_string_array(kDatasetsKey), file, kDatasetsKey)) {
    out.datasets.emplace_back(dataset);
  }
  out.chunk_count = require_key(keys.find_u32(kChunkCountKey), file, kChunkCountKey);
  out.chunk_size = require_key(keys.find_u32(kChunkSizeKey), file, kChunkSizeKey);
  for (const TensorInfo& tensor : file.tensors()) {
    if (tensor.name.ends_with(kSums)) {
      const std::string weight = tensor.name.substr(0, tensor.name.size() - kSums.size());
      out.entries[weight] = read_entry(file, tensor, weight);
    } else if (tensor.name.ends_with(kCounts)) {
      const std::string weight = tensor.name.substr(0, tensor.name.size() - kCounts.size());
      static_cast<void>(file.require_tensor(weight + std::string(kSums)));
    }
  }
  return out;
}

std::int32_t read_length(ByteCursor& cursor, std::int32_t least, const std::string& what) {
  const std::size_t offset = cursor.position();
  const auto value = cursor.read<std::int32_t>(what);
  if (value < least) {
    throw FormatError(
        fmt::format("{}: offset {}: {} is {}, expected {} or more; the file is damaged or no "
                    "importance matrix",
                    cursor.file(), offset, what, value, least));
  }
  return value;
}

std::string read_text(ByteCursor& cursor, std::int32_t size, const std::string& what) {
  const auto bytes = cursor.read_bytes(static_cast<std::uint64_t>(size), what);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string read_weight_name(ByteCursor& cursor, int index) {
  const std::size_t offset = cursor.position();
  const std::int32_t size = read_length(cursor, 1, fmt::format("the length of name {}", index));
  std::string name = read_text(cursor, size, fmt::format("name {}", index));
  const bool control = std::any_of(name.begin(), name.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (control) {
    throw FormatError(
        fmt::format("{}: offset {}: the name {} has control characters; the file is "
                    "damaged or no importance matrix",
                    cursor.file(), offset, quoted(name)));
  }
  return name;
}

// What follows the last dataset name, if anything, is ignored, as the reference reader does.
ImatrixFile read_legacy(std::span<const std::byte> bytes, const std::string& name) {
  ByteCursor cursor(bytes, name);
  ImatrixFile out;
  out.legacy = true;
  const std::int32_t n_entries = read_length(cursor, 1, "the number of entries");
  for (std::int32_t i = 0; i < n_entries; ++i) {
    const std::string weight = read_weight_name(cursor, i);
    const auto n_calls = cursor.read<std::int32_t>("the count of " + quoted(weight));
    const std::int32_t n_values = read_length(cursor, 1, "the length of " + quoted(weight));
    ImatrixEntry entry;
    entry.sums = read_floats(cursor.read_bytes(static_cast<std::uint64_t>(n_values) * sizeof(float),
                                               "the values of " + quoted(weight)));
    check_sums(entry.sums, fmt::format("{}: entry {}", name, quoted(weight)));
    // Without a count the values are used as they are.
    entry.count = n_calls > 0 ? static_cast<std::uint64_t>(n_calls) : 1;
    if (!out.entries.emplace(weight, std::move(entry)).second) {
      throw FormatError(fmt::format("{}: entry {} is there twice", name, quoted(weight)));
    }
  }
  if (cursor.remaining() == 0) return out;  // files from before these fields end here
  out.chunk_count =
      static_cast<std::uint32_t>(std::max(0, cursor.read<std::int32_t>("the number of chunks")));
  const std::int32_t size = read_length(cursor, 0, "the length of the dataset's name");
  if (size > 0) out.datasets.push_back(read_text(cursor, size, "the dataset's name"));
  return out;
}

void check_writable(const std::string& path, const ImatrixFile& file) {
  if (file.entries.empty()) {
    throw RequestError(path + ": an importance matrix without entries is of no use to a quantizer");
  }
  if (file.legacy) {
    throw RequestError(path +
                       ": counts of the older form are chunks, not rows; merge the file "
                       "into one with a chunk size first");
  }
}

void append(std::vector<std::byte>& out, const void* data, std::size_t size) {
  const std::size_t old_size = out.size();
  out.resize(old_size + size);
  if (size > 0) std::memcpy(out.data() + old_size, data, size);
}

void append_i32(std::vector<std::byte>& out, std::uint64_t value) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::int32_t>::max();
  const auto narrow = static_cast<std::int32_t>(std::min(value, kMax));
  append(out, &narrow, sizeof(narrow));
}

void append_text(std::vector<std::byte>& out, std::string_view text) {
  append_i32(out, text.size());
  append(out, text.data(), text.size());
}

// One entry of the older form: means over rows, times chunks.
void append_legacy_entry(std::vector<std::byte>& out, std::string_view weight,
                         const ImatrixEntry& entry, std::uint32_t chunk_size) {
  append_text(out, weight);
  const std::uint64_t n_calls = (entry.count + chunk_size - 1) / chunk_size;
  append_i32(out, n_calls);
  append_i32(out, entry.sums.size());
  for (const float sum : entry.sums) {
    const float value = sum / static_cast<float>(entry.count) * static_cast<float>(n_calls);
    append(out, &value, sizeof(value));
  }
}

void add_entry(ImatrixEntry& into, const ImatrixEntry& from, std::uint64_t scale,
               const std::string& weight) {
  if (into.sums.empty()) into.sums.resize(from.sums.size());
  if (into.sums.size() != from.sums.size()) {
    throw RequestError(
        fmt::format("the importance matrices are of different models: {} has {} columns in one and "
                    "{} in the other",
                    quoted(weight), into.sums.size(), from.sums.size()));
  }
  for (std::size_t i = 0; i < into.sums.size(); ++i) {
    into.sums[i] += from.sums[i] * static_cast<float>(scale);
    if (std::isfinite(into.sums[i])) continue;
    throw RequestError(
        fmt::format("the importance matrices cannot be merged: the sums of {} "
                    "exceed what a float holds",
                    quoted(weight)));
  }
  into.count += from.count * scale;  // below 2^54 + 2^63
  if (static_cast<float>(into.count) <= kMaxCount) return;
  throw RequestError(fmt::format(
      "the importance matrices cannot be merged: {} would count more rows than a file can say",
      quoted(weight)));
}

}  // namespace

ImatrixFile read_imatrix(const std::string& path) {
  const MappedFile mapping(path);
  return read_imatrix(mapping.bytes(), path);
}

ImatrixFile read_imatrix(std::span<const std::byte> bytes, const std::string& name) {
  // As an entry count of the older form these four bytes would mean a billion entries.
  const bool is_gguf = bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
  ImatrixFile out = is_gguf ? read_gguf(bytes, name) : read_legacy(bytes, name);
  if (out.entries.empty()) {
    throw FormatError(name + ": the importance matrix has no entries; make it again");
  }
  return out;
}

void write_imatrix(const std::string& path, const ImatrixFile& file) {
  check_writable(path, file);
  Writer writer;
  writer.set_string("general.type", "imatrix");
  const std::vector<std::string_view> datasets(file.datasets.begin(), file.datasets.end());
  writer.set_string_array(kDatasetsKey, datasets);
  writer.set_u32(kChunkCountKey, file.chunk_count);
  writer.set_u32(kChunkSizeKey, file.chunk_size);
  std::vector<float> counts;  // the writer borrows them until the end
  counts.reserve(file.entries.size());
  for (const auto& [weight, entry] : file.entries) {
    const std::size_t n_cols = entry.sums.size();
    writer.add_tensor(weight + std::string(kSums), quant::Type::F32, std::span(&n_cols, 1),
                      std::as_bytes(std::span(entry.sums)));
    counts.push_back(static_cast<float>(entry.count));
    const std::size_t one = 1;
    writer.add_tensor(weight + std::string(kCounts), quant::Type::F32, std::span(&one, 1),
                      std::as_bytes(std::span(&counts.back(), 1)));
  }
  writer.write(path);
}

void write_legacy_imatrix(const std::string& path, const ImatrixFile& file) {
  check_writable(path, file);
  if (file.chunk_size == 0) {
    throw RequestError(path + ": the older form counts chunks, so a chunk size is needed");
  }
  std::vector<std::pair<std::string_view, const ImatrixEntry*>> used;
  for (const auto& [weight, entry] : file.entries) {
    if (entry.count > 0) used.emplace_back(weight, &entry);
  }
  OutputFile out(path);
  std::vector<std::byte> bytes;
  append_i32(bytes, used.size());
  for (const auto& [weight, entry] : used) {
    append_legacy_entry(bytes, weight, *entry, file.chunk_size);
    out.write(bytes);
    bytes.clear();
  }
  append_i32(bytes, file.chunk_count);
  append_text(bytes, file.datasets.empty() ? std::string_view() : file.datasets.back());
  out.write(bytes);
  out.commit();
}

void merge_imatrix(ImatrixFile& into, const ImatrixFile& from) {
  if (into.legacy || into.chunk_size == 0) {
    throw RequestError("importance matrices can only be merged into one with a chunk size");
  }
  const std::uint64_t scale = from.legacy ? into.chunk_size : 1;
  ImatrixFile merged = into;  // so that a refusal changes nothing
  for (const auto& [weight, entry] : from.entries) {
    add_entry(merged.entries[weight], entry, scale, weight);
  }
  into = std::move(merged);
  into.datasets.insert(into.datasets.end(), from.datasets.begin(), from.datasets.end());
  std::uint64_t most = 0;
  for (const auto& [weight, entry] : into.entries) most = std::max(most, entry.count);
  into.chunk_count = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(most / into.chunk_size, std::numeric_limits<std::uint32_t>::max()));
}

std::vector<float> weights_of(const ImatrixEntry& entry) {
  if (entry.count == 0) return std::vector<float>(entry.sums.size(), 1.0F);
  std::vector<float> out(entry.sums.size());
  const auto count = static_cast<float>(entry.count);
  std::transform(entry.sums.begin(), entry.sums.end(), out.begin(),
                 [count](float sum) { return sum / count; });
  return out;
}

}  // namespace foretoken::gguf
