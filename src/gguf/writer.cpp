// Encoding of GGUF files. The header's size does not depend on the tensors' bytes, so offsets are
// known before the first tensor is produced and everything is written front to back.
#include "gguf/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/error.h"
#include "base/output_file.h"
#include "base/text.h"

namespace foretoken::gguf {
namespace {

constexpr std::size_t kAlignment = 32;
constexpr std::size_t kMaxKeyBytes = 65535;
constexpr std::size_t kMaxNameBytes = 63;
constexpr std::size_t kMaxElements = std::size_t{1} << 48;

std::size_t padding(std::size_t n) { return (kAlignment - n % kAlignment) % kAlignment; }

void append_raw(std::vector<std::byte>& out, const void* data, std::size_t size) {
  if (size == 0) return;
  // Not insert(), about which GCC 12 warns wrongly (its bug 107852).
  const std::size_t old_size = out.size();
  out.resize(old_size + size);
  std::memcpy(out.data() + old_size, data, size);
}

template <class T>
requires std::is_arithmetic_v<T>
void append(std::vector<std::byte>& out, T value) { append_raw(out, &value, sizeof(value)); }

void append_string(std::vector<std::byte>& out, std::string_view text) {
  append(out, std::uint64_t{text.size()});
  append_raw(out, text.data(), text.size());
}

void append_array_header(std::vector<std::byte>& out, ValueType element, std::size_t count) {
  append(out, static_cast<std::uint32_t>(element));
  append(out, std::uint64_t{count});
}

void check_name(std::string_view name, std::size_t max_bytes, const char* what) {
  const bool control = std::any_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  if (name.empty() || name.size() > max_bytes || control) {
    throw RequestError(
        fmt::format("cannot write {} {}: a name has 1 to {} bytes and no control "
                    "characters",
                    what, quoted(name), max_bytes));
  }
}

// Bytes of a tensor; refuses what a reader would refuse.
std::size_t checked_size(std::string_view name, quant::Type type,
                         std::span<const std::size_t> shape) {
  if (shape.empty() || shape.size() > 4) {
    throw RequestError(fmt::format("cannot write tensor {}: {} dimensions, 1 to 4 are possible",
                                   name, shape.size()));
  }
  std::size_t n_elements = 1;
  for (const std::size_t length : shape) {
    if (length == 0 || length > kMaxElements / n_elements) {
      throw RequestError(
          fmt::format("cannot write tensor {}: a shape of 1 to 2^48 elements is needed", name));
    }
    n_elements *= length;
  }
  const quant::TypeInfo& info = quant::type_info(type);
  const auto block = static_cast<std::size_t>(info.block_elements);
  if (shape.back() % block != 0) {
    throw RequestError(
        fmt::format("cannot write tensor {}: rows of {} elements are no multiple of "
                    "the {} of a {} block",
                    name, shape.back(), block, info.name));
  }
  return n_elements / block * static_cast<std::size_t>(info.block_bytes);
}

}  // namespace

std::vector<std::byte>& Writer::add_value(std::string_view key, ValueType type) {
  check_name(key, kMaxKeyBytes, "key");
  remove(key);
  values_.push_back({std::string(key), {}});
  append(values_.back().encoded, static_cast<std::uint32_t>(type));
  return values_.back().encoded;
}

void Writer::remove(std::string_view key) {
  std::erase_if(values_, [key](const Value& value) { return value.key == key; });
}

void Writer::set_u16(std::string_view key, std::uint16_t value) {
  append(add_value(key, ValueType::U16), value);
}

void Writer::set_u32(std::string_view key, std::uint32_t value) {
  append(add_value(key, ValueType::U32), value);
}

void Writer::set_i32(std::string_view key, std::int32_t value) {
  append(add_value(key, ValueType::I32), value);
}

void Writer::set_u64(std::string_view key, std::uint64_t value) {
  append(add_value(key, ValueType::U64), value);
}

void Writer::set_f32(std::string_view key, float value) {
  append(add_value(key, ValueType::F32), value);
}

void Writer::set_bool(std::string_view key, bool value) {
  append(add_value(key, ValueType::Bool), static_cast<std::uint8_t>(value ? 1 : 0));
}

void Writer::set_string(std::string_view key, std::string_view value) {
  append_string(add_value(key, ValueType::String), value);
}

void Writer::set_string_array(std::string_view key, std::span<const std::string_view> values) {
  auto& out = add_value(key, ValueType::Array);
  append_array_header(out, ValueType::String, values.size());
  for (const std::string_view value : values) append_string(out, value);
}

void Writer::set_i32_array(std::string_view key, std::span<const std::int32_t> values) {
  auto& out = add_value(key, ValueType::Array);
  append_array_header(out, ValueType::I32, values.size());
  append_raw(out, values.data(), values.size_bytes());
}

void Writer::set_u32_array(std::string_view key, std::span<const std::uint32_t> values) {
  auto& out = add_value(key, ValueType::Array);
  append_array_header(out, ValueType::U32, values.size());
  append_raw(out, values.data(), values.size_bytes());
}

void Writer::set_f32_array(std::string_view key, std::span<const float> values) {
  auto& out = add_value(key, ValueType::Array);
  append_array_header(out, ValueType::F32, values.size());
  append_raw(out, values.data(), values.size_bytes());
}

void Writer::set_bool_array(std::string_view key, const std::vector<bool>& values) {
  auto& out = add_value(key, ValueType::Array);
  append_array_header(out, ValueType::Bool, values.size());
  for (const bool value : values) append(out, static_cast<std::uint8_t>(value ? 1 : 0));
}

void Writer::set_entry(const Entry& entry) {
  auto& out = add_value(entry.key, entry.type);
  if (entry.type == ValueType::Array) append_array_header(out, entry.element_type, entry.count);
  append_raw(out, entry.value.data(), entry.value.size());
}

void Writer::copy_metadata(const Metadata& metadata) {
  for (const Entry& entry : metadata.entries()) {
    if (entry.key != "general.alignment") set_entry(entry);
  }
}

void Writer::add_tensor(std::string_view name, quant::Type type, std::span<const std::size_t> shape,
                        std::span<const std::byte> data) {
  check_name(name, kMaxNameBytes, "tensor");
  if (data.size() != checked_size(name, type, shape)) {
    throw RequestError(fmt::format("cannot write tensor {}: {} bytes were given for {}", name,
                                   data.size(), checked_size(name, type, shape)));
  }
  add_tensor(name, type, shape, [data](const Sink& sink) { sink(data); });
}

void Writer::add_tensor(std::string_view name, quant::Type type, std::span<const std::size_t> shape,
                        Produce produce) {
  check_name(name, kMaxNameBytes, "tensor");
  const std::size_t size_bytes = checked_size(name, type, shape);
  if (!names_.insert(std::string(name)).second) {
    throw RequestError(fmt::format("cannot write tensor {} twice", quoted(name)));
  }
  while (shape.size() > 1 && shape.front() == 1) shape = shape.subspan(1);
  tensors_.push_back({std::string(name), type, std::vector<std::size_t>(shape.begin(), shape.end()),
                      size_bytes, std::move(produce)});
}

void Writer::declare_tensor(std::string_view name, quant::Type type,
                            std::span<const std::size_t> shape) {
  add_tensor(name, type, shape, [name = std::string(name)](const Sink&) {
    throw RequestError(fmt::format("cannot write tensor {}: it was only declared", name));
  });
}

void Writer::add_tensor(const File& file, const TensorInfo& tensor) {
  add_tensor(tensor.name, tensor.type, tensor.shape, file.data(tensor));
}

std::vector<std::byte> Writer::encode_header() const {
  std::vector<std::byte> out;
  append_raw(out, "GGUF", 4);
  append(out, std::uint32_t{3});
  append(out, std::uint64_t{tensors_.size()});
  append(out, std::uint64_t{values_.size()});
  for (const Value& value : values_) {
    append_string(out, value.key);
    append_raw(out, value.encoded.data(), value.encoded.size());
  }
  std::uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    append_string(out, tensor.name);
    append(out, static_cast<std::uint32_t>(tensor.shape.size()));
    std::for_each(tensor.shape.rbegin(), tensor.shape.rend(),
                  [&out](std::size_t length) { append(out, std::uint64_t{length}); });
    append(out, static_cast<std::uint32_t>(tensor.type));
    append(out, offset);
    offset += tensor.size_bytes + padding(tensor.size_bytes);
  }
  out.resize(out.size() + padding(out.size()));
  return out;
}

Writer::Layout Writer::layout() const {
  Layout out;
  out.header = encode_header();
  std::size_t offset = out.header.size();
  for (const Tensor& tensor : tensors_) {
    out.offsets.push_back(offset);
    out.sizes.push_back(tensor.size_bytes);
    offset += tensor.size_bytes + padding(tensor.size_bytes);
  }
  out.file_bytes = offset;
  return out;
}

void Writer::emit(const Sink& sink) const {
  sink(encode_header());
  const std::vector<std::byte> zeros(kAlignment);
  for (const Tensor& tensor : tensors_) {
    std::size_t produced = 0;
    tensor.produce([&](std::span<const std::byte> bytes) {
      produced += bytes.size();
      sink(bytes);
    });
    if (produced != tensor.size_bytes) {
      throw RequestError(fmt::format("cannot write tensor {}: {} bytes were produced for {}",
                                     tensor.name, produced, tensor.size_bytes));
    }
    sink(std::span(zeros).first(padding(tensor.size_bytes)));
  }
}

std::vector<std::byte> Writer::to_bytes() const {
  std::vector<std::byte> out;
  emit([&out](std::span<const std::byte> bytes) { append_raw(out, bytes.data(), bytes.size()); });
  return out;
}

void Writer::write(const std::string& path) const {
  OutputFile file(path);
  emit([&file](std::span<const std::byte> bytes) { file.write(bytes); });
  file.commit();
}

}  // namespace foretoken::gguf
