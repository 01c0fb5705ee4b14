// Writes .safetensors files with the bytes that the reference writer makes: tensors by alignment of
// their type, then by name, without gaps, the header filled up with spaces to a multiple of 8.
// Source: docs/safetensors.md, "Writing"; huggingface/safetensors, its `prepare` function.
#pragma once

#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "safetensors/file.h"

namespace foretoken::safetensors {

/// Collects tensors in any order, then says or writes what the file looks like. Not thread-safe.
class Writer {
 public:
  /// Into __metadata__, in the order of the calls. Throws RequestError for text that is not UTF-8
  /// and for a key given twice.
  void set_metadata(std::string_view key, std::string_view value);

  /// `shape` outermost first, may be empty. `data` is borrowed until the file is written. Throws
  /// RequestError for a name that is not UTF-8, is there twice or is "__metadata__", a shape whose
  /// bytes do not fit 64 bits, data of another size.
  void add_tensor(std::string_view name, DType type, std::span<const std::size_t> shape,
                  std::span<const std::byte> data);
  /// Declares a tensor whose bytes somebody else puts at its place; see layout(). With one of
  /// these, write() and to_bytes() throw RequestError.
  void declare_tensor(std::string_view name, DType type, std::span<const std::size_t> shape);

  /// Where everything will be.
  struct Layout {
    std::vector<std::byte> header;     ///< the first bytes of the file
    std::vector<std::size_t> offsets;  ///< of each tensor in the order of the calls, in the file
    std::vector<std::size_t> sizes;    ///< likewise
    std::size_t file_bytes = 0;
  };
  Layout layout() const;
  /// The whole file in memory; for small ones.
  std::vector<std::byte> to_bytes() const;
  /// Writes the file; it appears whole under its name or not at all. Throws IoError.
  void write(const std::string& path) const;

 private:
  struct Tensor {
    std::string name;
    DType type = DType::F32;
    std::vector<std::size_t> shape;
    std::size_t size_bytes = 0;
    std::span<const std::byte> data;
    bool has_data = false;
  };
  Tensor& add(std::string_view name, DType type, std::span<const std::size_t> shape);
  std::vector<std::size_t> file_order() const;
  void require_data() const;

  std::vector<Tensor> tensors_;
  std::set<std::string, std::less<>> names_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace foretoken::safetensors
