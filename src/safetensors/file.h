// One .safetensors file, mapped read-only and checked whole when opened: header length, strict JSON
// without duplicate members, known types, shapes that multiply without overflow, and data that is
// covered exactly: no hole, no overlap, nothing behind.
// Source: docs/safetensors.md; huggingface/safetensors, its format section and validating reader.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mapped_file.h"

namespace foretoken::safetensors {

/// Element types that a file may hold.
enum class DType {
  Bool,
  U8,
  I8,
  F8_E4M3,
  F8_E5M2,
  F8_E8M0,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  F64,
  I64,
  U64,
};

/// "BF16", as the header spells it.
std::string_view dtype_name(DType type);
/// Bytes of one element.
std::size_t dtype_bytes(DType type);

struct TensorInfo {
  std::string name;
  DType type = DType::F32;
  std::vector<std::size_t> shape;  ///< outermost first; empty for a scalar; may hold zeros
  std::size_t offset = 0;          ///< of the first byte, from the start of the file; any alignment
  std::size_t size_bytes = 0;

  std::size_t n_elements() const;
};

/// Move-only; const access is thread-safe. Views live as long as it does.
class File {
 public:
  /// Throws IoError when the file cannot be read, FormatError naming file and tensor when it breaks
  /// a rule, UnsupportedError for a type outside DType.
  static File open(const std::string& path);
  /// The same for bytes in memory, which must outlive the result; `name` stands in error texts.
  static File from_memory(std::span<const std::byte> bytes, const std::string& name);

  const std::string& path() const { return path_; }
  /// Sorted by name, as llama.cpp's converter takes them.
  std::span<const TensorInfo> tensors() const { return tensors_; }
  /// Null when absent.
  const TensorInfo* find_tensor(std::string_view name) const;
  /// Bytes of a tensor; not aligned to its type.
  std::span<const std::byte> data(const TensorInfo& tensor) const;
  void drop_pages(const TensorInfo& tensor) const;
  /// The header's __metadata__, in its order.
  std::span<const std::pair<std::string, std::string>> metadata() const { return metadata_; }
  std::size_t file_bytes() const { return bytes_.size(); }

 private:
  File() = default;
  void parse();

  std::string path_;
  MappedFile mapping_;  // empty for from_memory
  std::span<const std::byte> bytes_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace foretoken::safetensors
