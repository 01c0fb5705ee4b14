// The key/value section of a GGUF file: ordered, typed, strict. Values stay where they are in the
// mapped file and are decoded when asked for, so a vocabulary of 250 thousand strings costs
// nothing until a tokenizer wants it.
// Source: docs/gguf.md, "Metadata".
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace foretoken::gguf {

/// Numbering of the value types in a file.
enum class ValueType : std::uint32_t {
  U8 = 0,
  I8,
  U16,
  I16,
  U32,
  I32,
  F32,
  Bool,
  String,
  Array,
  U64,
  I64,
  F64
};

/// "u32", "string", "array"...
std::string_view value_type_name(ValueType type);
/// Encoded size of a fixed-width type in bytes; 0 for String and Array.
std::size_t value_type_size(ValueType type);

/// One key with its value. Borrows the file's bytes: valid as long as the File that it came from.
struct Entry {
  std::string_view key;
  ValueType type = ValueType::U8;
  ValueType element_type = ValueType::U8;  ///< of an array's elements; otherwise equal to `type`
  std::size_t count = 1;                   ///< elements of an array; otherwise 1
  /// The encoded elements (of a string: length and bytes), unaligned, already bounds-checked.
  std::span<const std::byte> value;

  /// "u32", "array of string".
  std::string type_text() const;
  /// For people: at most `limit` array elements or, per string, `limit` * 16 bytes are shown, with
  /// "..." where something is left out; control and invalid bytes are escaped. One line.
  std::string to_text(std::size_t limit = 8) const;
  /// Element i of an array of fixed-width elements, as to_text shows it. Requires i < count.
  std::string element_text(std::size_t i) const;
};

/// All keys of a file in file order.
///
/// `require_X` throws FormatError when the key is absent; both families throw FormatError when it
/// has another type than X, naming file, key and both types. The types are compared strictly, as
/// llama.cpp does: an i32 is not accepted for a u32. Returned views live as long as the File.
class Metadata {
 public:
  Metadata() = default;
  explicit Metadata(std::string file) : file_(std::move(file)) {}

  bool has(std::string_view key) const { return find_entry(key) != nullptr; }
  /// Null when absent.
  const Entry* find_entry(std::string_view key) const;
  std::span<const Entry> entries() const { return entries_; }
  /// Name of the file for error texts.
  const std::string& file() const { return file_; }

  std::string_view require_string(std::string_view key) const;
  std::uint32_t require_u32(std::string_view key) const;
  float require_f32(std::string_view key) const;

  std::optional<std::string_view> find_string(std::string_view key) const;
  std::optional<std::uint16_t> find_u16(std::string_view key) const;
  std::optional<std::uint32_t> find_u32(std::string_view key) const;
  std::optional<std::int32_t> find_i32(std::string_view key) const;
  std::optional<std::uint64_t> find_u64(std::string_view key) const;
  std::optional<float> find_f32(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;

  std::optional<std::vector<std::string_view>> find_string_array(std::string_view key) const;
  std::optional<std::vector<std::int32_t>> find_i32_array(std::string_view key) const;
  std::optional<std::vector<std::uint32_t>> find_u32_array(std::string_view key) const;
  std::optional<std::vector<float>> find_f32_array(std::string_view key) const;
  std::optional<std::vector<bool>> find_bool_array(std::string_view key) const;

  /// Appends an entry whose value the caller has bounds-checked. Returns false, and changes
  /// nothing, when the key is already there. The reader's side of this class.
  [[nodiscard]] bool add(const Entry& entry);

 private:
  const Entry* find_typed(std::string_view key, ValueType type) const;
  const Entry* find_array(std::string_view key, ValueType element_type) const;
  [[noreturn]] void throw_absent(std::string_view key, std::string_view type) const;

  std::string file_;
  std::vector<Entry> entries_;
  std::map<std::string_view, std::size_t> index_;  // key -> position in entries_
};

}  // namespace foretoken::gguf
