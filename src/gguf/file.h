// An opened GGUF model file: metadata, tensor list, and the tensors' bytes, mapped read-only.
//
// Opening checks everything that a later reader relies on (counts, lengths, shapes, offsets, the
// end of the file), so that code behind this header needs no checks of its own. Split models are
// opened through their first file and look like one.
// Source: docs/gguf.md; the rules follow gguf.cpp of llama.cpp de3ff815 and are stricter where
// that reader is known to be too trusting.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "gguf/metadata.h"
#include "quant/type.h"

namespace foretoken::gguf {

/// Where one tensor is and what it looks like.
struct TensorInfo {
  std::string name;
  quant::Type type = quant::Type::F32;
  std::vector<std::size_t> shape;  ///< outermost first: [rows, cols]; 1 to 4 entries, none zero
  std::size_t size_bytes = 0;      ///< without padding
  std::size_t offset = 0;          ///< of the first byte, from the start of its file
  int file_index = 0;              ///< which file of a split model; 0 otherwise

  /// Product of the shape, at most 2^48.
  std::size_t n_elements() const;
  /// Length of a row, the innermost dimension.
  std::size_t n_cols() const { return shape.back(); }
  /// n_elements() / n_cols().
  std::size_t n_rows() const { return n_elements() / n_cols(); }
};

struct OpenOptions {
  /// For looking at odd files: tensors may lie in any order with gaps between them, as long as
  /// they are aligned, inside the file and apart from each other. Each oddity becomes a warning.
  bool lenient = false;
};

/// Move-only; const access is thread-safe. Views into it live as long as it does.
class File {
 public:
  /// Opens and checks a file, and its siblings when it is the first of a split model. Throws
  /// IoError when a file cannot be read and FormatError when its bytes break a rule.
  static File open(const std::string& path, const OpenOptions& options = {});
  /// The same for bytes in memory, which must outlive the result; `name` stands in error texts.
  /// Split models are refused.
  static File from_memory(std::span<const std::byte> bytes, const std::string& name,
                          const OpenOptions& options = {});

  /// As given to open().
  const std::string& path() const { return parts_.front().path; }
  /// Of one file of a split model. Requires 0 <= file_index < n_files().
  const std::string& path(int file_index) const {
    return parts_[static_cast<std::size_t>(file_index)].path;
  }
  /// Of the first file.
  const Metadata& metadata() const { return metadata_; }
  /// In file order, over all files; empty for a vocabulary-only file.
  std::span<const TensorInfo> tensors() const { return tensors_; }
  /// Null when absent.
  const TensorInfo* find_tensor(std::string_view name) const;
  /// Throws FormatError naming file and tensor when absent.
  const TensorInfo& require_tensor(std::string_view name) const;

  /// The tensor's bytes, size_bytes long. In an opened file they are aligned to its alignment (at
  /// least 8), in from_memory only as the given bytes allow.
  std::span<const std::byte> data(const TensorInfo& tensor) const;
  /// Tells the system that these pages are not needed soon; they can be read again.
  void drop_pages(const TensorInfo& tensor) const;

  /// Bytes of all files together.
  std::size_t file_bytes() const;
  int n_files() const { return static_cast<int>(parts_.size()); }
  /// GGUF version of the first file: 2 or 3.
  int version() const { return version_; }
  /// Alignment of the first file's data section.
  std::size_t alignment() const { return alignment_; }
  /// One sentence per tolerated oddity.
  std::span<const std::string> warnings() const { return warnings_; }

 private:
  struct Part {
    std::string path;
    MappedFile mapping;  // empty for from_memory
    std::span<const std::byte> bytes;
  };
  File() = default;
  void add_part(Part part, const OpenOptions& options);
  void index_tensors();
  void open_siblings(const OpenOptions& options);

  std::vector<Part> parts_;
  Metadata metadata_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string_view, std::size_t> index_;  // name -> position in tensors_
  std::vector<std::string> warnings_;
  int version_ = 0;
  std::size_t alignment_ = 0;
};

}  // namespace foretoken::gguf
