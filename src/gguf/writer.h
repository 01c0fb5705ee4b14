// Writes GGUF version 3 files: keys in order, tensors in order, every byte of padding included.
// Source: docs/gguf.md, "Layout" and "Writing"; the output equals what llama.cpp writes for the
// same keys and tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/file.h"
#include "gguf/metadata.h"
#include "quant/type.h"

namespace foretoken::gguf {

/// Collects keys and tensors, then writes them. Not thread-safe.
///
/// Setting a key that is there removes the old entry and appends the new one at the end, as the
/// reference writer does. Keys and names that a reader would refuse (empty, too long, control
/// bytes, duplicate tensors, bad shapes) throw RequestError.
class Writer {
 public:
  /// Receives a tensor's bytes, front to back, in pieces of any size.
  using Sink = std::function<void(std::span<const std::byte>)>;
  /// Called once, when the tensor's turn comes; must hand over exactly its size in bytes.
  using Produce = std::function<void(const Sink&)>;

  void set_u16(std::string_view key, std::uint16_t value);
  void set_u32(std::string_view key, std::uint32_t value);
  void set_i32(std::string_view key, std::int32_t value);
  void set_u64(std::string_view key, std::uint64_t value);
  void set_f32(std::string_view key, float value);
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);
  void set_string_array(std::string_view key, std::span<const std::string_view> values);
  void set_i32_array(std::string_view key, std::span<const std::int32_t> values);
  void set_u32_array(std::string_view key, std::span<const std::uint32_t> values);
  void set_f32_array(std::string_view key, std::span<const float> values);
  void set_bool_array(std::string_view key, const std::vector<bool>& values);
  /// Copies one entry of a file as it is, whatever its type.
  void set_entry(const Entry& entry);
  /// Copies all entries of a file except general.alignment: the writer always pads to 32, which
  /// every reader supports.
  void copy_metadata(const Metadata& metadata);
  void remove(std::string_view key);

  /// Appends a tensor. `shape` outermost first, 1 to 4 entries; leading entries of 1 are dropped,
  /// as the reference writer does. `data` is borrowed until write() and must have the right size.
  void add_tensor(std::string_view name, quant::Type type, std::span<const std::size_t> shape,
                  std::span<const std::byte> data);
  void add_tensor(std::string_view name, quant::Type type, std::span<const std::size_t> shape,
                  Produce produce);
  /// Declares a tensor whose bytes somebody else puts at its place in the file; see layout(). With
  /// one of these, write() and to_bytes() throw RequestError.
  void declare_tensor(std::string_view name, quant::Type type, std::span<const std::size_t> shape);
  /// Appends a tensor of an open file, which must outlive write().
  void add_tensor(const File& file, const TensorInfo& tensor);

  /// Where everything will be, for those who fill the file in an order of their own.
  struct Layout {
    std::vector<std::byte> header;     ///< with its padding: the first bytes of the file
    std::vector<std::size_t> offsets;  ///< of each tensor, from the start of the file
    std::vector<std::size_t> sizes;    ///< of each tensor, without padding (which is zeros)
    std::size_t file_bytes = 0;        ///< the last tensor's padding included
  };
  Layout layout() const;
  /// The whole file in memory; for small ones.
  std::vector<std::byte> to_bytes() const;
  /// Writes to a temporary file beside `path`, syncs it and renames it, so that `path` is either
  /// untouched or complete. Throws IoError with the system's reason.
  void write(const std::string& path) const;

 private:
  struct Value {
    std::string key;
    std::vector<std::byte> encoded;  // type id and value
  };
  struct Tensor {
    std::string name;
    quant::Type type;
    std::vector<std::size_t> shape;  // outermost first
    std::size_t size_bytes;
    Produce produce;
  };
  std::vector<std::byte>& add_value(std::string_view key, ValueType type);
  std::vector<std::byte> encode_header() const;
  void emit(const Sink& sink) const;

  std::vector<Value> values_;
  std::vector<Tensor> tensors_;
  std::set<std::string, std::less<>> names_;  // of tensors_
};

}  // namespace foretoken::gguf
