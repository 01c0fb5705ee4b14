// Typed look-ups over the entries of a file, and their rendering for people.
#include "gguf/metadata.h"

#include <fmt/format.h>

#include <array>
#include <cassert>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"

namespace foretoken::gguf {
namespace {

struct TypeRow {
  std::string_view name;
  std::size_t size;
};
// Indexed by ValueType.
constexpr std::array<TypeRow, 13> kValueTypes{{{"u8", 1},
                                               {"i8", 1},
                                               {"u16", 2},
                                               {"i16", 2},
                                               {"u32", 4},
                                               {"i32", 4},
                                               {"f32", 4},
                                               {"bool", 1},
                                               {"string", 0},
                                               {"array", 0},
                                               {"u64", 8},
                                               {"i64", 8},
                                               {"f64", 8}}};

// The string whose encoding starts at `bytes`. Its length was checked when the file was opened.
std::string_view decode_string(const std::byte* bytes) {
  const auto length = static_cast<std::size_t>(load_le<std::uint64_t>(bytes));
  return {reinterpret_cast<const char*>(bytes + 8), length};
}

template <class T>
std::vector<T> decode_array(const Entry& entry) {
  std::vector<T> out(entry.count);
  assert(entry.value.size() == entry.count * sizeof(T));
  // Elements follow a header of any length, so they are copied rather than viewed.
  if (!out.empty()) std::memcpy(out.data(), entry.value.data(), entry.value.size());
  return out;
}

std::string scalar_text(ValueType type, const std::byte* bytes, std::size_t string_limit) {
  switch (type) {
    case ValueType::U8:
      return fmt::format("{}", load_le<std::uint8_t>(bytes));
    case ValueType::I8:
      return fmt::format("{}", load_le<std::int8_t>(bytes));
    case ValueType::U16:
      return fmt::format("{}", load_le<std::uint16_t>(bytes));
    case ValueType::I16:
      return fmt::format("{}", load_le<std::int16_t>(bytes));
    case ValueType::U32:
      return fmt::format("{}", load_le<std::uint32_t>(bytes));
    case ValueType::I32:
      return fmt::format("{}", load_le<std::int32_t>(bytes));
    case ValueType::F32:
      return fmt::format("{}", load_le<float>(bytes));
    case ValueType::Bool:
      return load_le<std::uint8_t>(bytes) != 0 ? "true" : "false";
    case ValueType::String:
      return printable(decode_string(bytes), string_limit);
    case ValueType::U64:
      return fmt::format("{}", load_le<std::uint64_t>(bytes));
    case ValueType::I64:
      return fmt::format("{}", load_le<std::int64_t>(bytes));
    case ValueType::F64:
      return fmt::format("{}", load_le<double>(bytes));
    case ValueType::Array:
      break;
  }
  assert(false && "arrays of arrays are refused at open");
  return {};
}

// printable() has doubled the backslashes, so \" stays unambiguous.
std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string_view value_type_name(ValueType type) {
  return kValueTypes[static_cast<std::size_t>(type)].name;
}

std::size_t value_type_size(ValueType type) {
  return kValueTypes[static_cast<std::size_t>(type)].size;
}

std::string Entry::type_text() const {
  if (type != ValueType::Array) return std::string(value_type_name(type));
  return fmt::format("array of {}", value_type_name(element_type));
}

std::string Entry::to_text(std::size_t limit) const {
  const std::size_t string_limit = limit * 16;
  if (type != ValueType::Array) return scalar_text(type, value.data(), string_limit);
  std::string out = "[";
  const std::byte* bytes = value.data();
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) out += ", ";
    if (i == limit) {
      out += "...";
      break;
    }
    if (element_type == ValueType::String) {
      const std::string_view text = decode_string(bytes);
      out += in_quotes(printable(text, string_limit));
      bytes += 8 + text.size();
    } else {
      out += scalar_text(element_type, bytes, string_limit);
      bytes += value_type_size(element_type);
    }
  }
  return out + "]";
}

std::string Entry::element_text(std::size_t i) const {
  assert(i < count && value_type_size(element_type) > 0);
  return scalar_text(element_type, value.data() + i * value_type_size(element_type), 0);
}

const Entry* Metadata::find_entry(std::string_view key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &entries_[it->second];
}

bool Metadata::add(const Entry& entry) {
  if (!index_.emplace(entry.key, entries_.size()).second) return false;
  entries_.push_back(entry);
  return true;
}

const Entry* Metadata::find_typed(std::string_view key, ValueType type) const {
  const Entry* entry = find_entry(key);
  if (entry != nullptr && entry->type != type) {
    throw FormatError(
        fmt::format("{}: key {} must be of type {} but is of type {}; the file was made by a "
                    "converter that writes it wrongly",
                    file_, quoted(key), value_type_name(type), entry->type_text()));
  }
  return entry;
}

const Entry* Metadata::find_array(std::string_view key, ValueType element_type) const {
  const Entry* entry = find_entry(key);
  if (entry == nullptr) return nullptr;
  if (entry->type != ValueType::Array || entry->element_type != element_type) {
    throw FormatError(
        fmt::format("{}: key {} must be of type array of {} but is of type {}; the file was made "
                    "by a converter that writes it wrongly",
                    file_, quoted(key), value_type_name(element_type), entry->type_text()));
  }
  return entry;
}

void Metadata::throw_absent(std::string_view key, std::string_view type) const {
  throw FormatError(
      fmt::format("{}: key {} (type {}) is missing; the file is of another kind, or its converter "
                  "left it out",
                  file_, quoted(key), type));
}

std::string_view Metadata::require_string(std::string_view key) const {
  if (const auto value = find_string(key)) return *value;
  throw_absent(key, "string");
}

std::uint32_t Metadata::require_u32(std::string_view key) const {
  if (const auto value = find_u32(key)) return *value;
  throw_absent(key, "u32");
}

float Metadata::require_f32(std::string_view key) const {
  if (const auto value = find_f32(key)) return *value;
  throw_absent(key, "f32");
}

std::optional<std::string_view> Metadata::find_string(std::string_view key) const {
  const Entry* entry = find_typed(key, ValueType::String);
  if (entry == nullptr) return std::nullopt;
  return decode_string(entry->value.data());
}

std::optional<std::uint16_t> Metadata::find_u16(std::string_view key) const {
  const Entry* entry = find_typed(key, ValueType::U16);
  if (entry == nullptr) return std::nullopt;
  return load_le<std::uint16_t>(entry->value.data());
}

std::optional<std::uint32_t> Metadata::find_u32(std::string_view key) const {
  const Entry* entry = find_typed(key, ValueType::U32);
  if (entry == nullptr) return std::nullopt;
  return load_le<std::uint32_t>(entry->value.data());
}

std::optional<std::int32_t> Metadata::find_i32(std::string_view key) const {
  const Entry* entry = find_typed(key, ValueType::I32);
  if (entry == nullptr) return std::nullopt;
  return load_le<std::int32_t>(entry->value.data());
}

std::optional<std::uint64_t> Metadata::find_u64(std::string_view key) const {
  const Entry* entry = find_typed(key, ValueType::U64);
  if (entry == nullptr) return std::nullopt;
  return load_le<std::uint64_t>(entry->value.data());
}

std::optional<float> Metadata::find_f32(std::string_view key) const {
  const Entry* entry = find_typed(key, ValueType::F32);
  if (entry == nullptr) return std::nullopt;
  return load_le<float>(entry->value.data());
}

std::optional<bool> Metadata::find_bool(std::string_view key) const {
  const Entry* entry = find_typed(key, ValueType::Bool);
  if (entry == nullptr) return std::nullopt;
  return load_le<std::uint8_t>(entry->value.data()) != 0;
}

std::optional<std::vector<std::string_view>> Metadata::find_string_array(
    std::string_view key) const {
  const Entry* entry = find_array(key, ValueType::String);
  if (entry == nullptr) return std::nullopt;
  std::vector<std::string_view> out;
  out.reserve(entry->count);  // count * 8 bytes were found in the file
  const std::byte* bytes = entry->value.data();
  for (std::size_t i = 0; i < entry->count; ++i) {
    out.push_back(decode_string(bytes));
    bytes += 8 + out.back().size();
  }
  return out;
}

std::optional<std::vector<std::int32_t>> Metadata::find_i32_array(std::string_view key) const {
  const Entry* entry = find_array(key, ValueType::I32);
  if (entry == nullptr) return std::nullopt;
  return decode_array<std::int32_t>(*entry);
}

std::optional<std::vector<std::uint32_t>> Metadata::find_u32_array(std::string_view key) const {
  const Entry* entry = find_array(key, ValueType::U32);
  if (entry == nullptr) return std::nullopt;
  return decode_array<std::uint32_t>(*entry);
}

std::optional<std::vector<float>> Metadata::find_f32_array(std::string_view key) const {
  const Entry* entry = find_array(key, ValueType::F32);
  if (entry == nullptr) return std::nullopt;
  return decode_array<float>(*entry);
}

std::optional<std::vector<bool>> Metadata::find_bool_array(std::string_view key) const {
  const Entry* entry = find_array(key, ValueType::Bool);
  if (entry == nullptr) return std::nullopt;
  std::vector<bool> out(entry->count);
  for (std::size_t i = 0; i < entry->count; ++i) out[i] = entry->value[i] != std::byte{0};
  return out;
}

}  // namespace foretoken::gguf
