#include "safetensors/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "base/output_file.h"
#include "base/text.h"

namespace foretoken::safetensors {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kMetadataName = "__metadata__";
constexpr std::size_t kLengthBytes = 8;
static_assert(std::endian::native == std::endian::little, "the length is copied as it is");

// The reference's order of types, least first; files hold the greatest first, so that every tensor
// is aligned when the first one is.
constexpr std::array kTypeOrder = {
    DType::Bool, DType::U8,  DType::I8,  DType::F8_E5M2, DType::F8_E4M3, DType::F8_E8M0,
    DType::I16,  DType::U16, DType::F16, DType::BF16,    DType::I32,     DType::U32,
    DType::F32,  DType::F64, DType::I64, DType::U64,
};

std::size_t type_rank(DType type) {
  return static_cast<std::size_t>(std::ranges::find(kTypeOrder, type) - kTypeOrder.begin());
}

void require_utf8(std::string_view text, std::string_view what) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) {
      throw RequestError(
          fmt::format("cannot write {} {} into a safetensors file: not UTF-8", what, quoted(text)));
    }
    i += length;
  }
}

}  // namespace

void Writer::set_metadata(std::string_view key, std::string_view value) {
  require_utf8(key, "the metadata key");
  require_utf8(value, "the metadata value");
  for (const auto& [present, text] : metadata_) {
    if (present == key) {
      throw RequestError(fmt::format("cannot write the metadata key {} twice", quoted(key)));
    }
  }
  metadata_.emplace_back(key, value);
}

Writer::Tensor& Writer::add(std::string_view name, DType type, std::span<const std::size_t> shape) {
  require_utf8(name, "the tensor name");
  std::size_t size = dtype_bytes(type);
  for (const std::size_t length : shape) {
    if (__builtin_mul_overflow(size, length, &size)) {
      throw RequestError(fmt::format("cannot write tensor {}: shape [{}] is too large",
                                     quoted(name), fmt::join(shape, ", ")));
    }
  }
  if (name == kMetadataName || !names_.insert(std::string(name)).second) {
    throw RequestError(fmt::format("cannot write tensor {}: the name is taken", quoted(name)));
  }
  Tensor& tensor = tensors_.emplace_back();
  tensor.name = name;
  tensor.type = type;
  tensor.shape.assign(shape.begin(), shape.end());
  tensor.size_bytes = size;
  return tensor;
}

void Writer::add_tensor(std::string_view name, DType type, std::span<const std::size_t> shape,
                        std::span<const std::byte> data) {
  Tensor& tensor = add(name, type, shape);
  if (data.size() != tensor.size_bytes) {
    throw RequestError(fmt::format("cannot write tensor {}: {} bytes were given for {}",
                                   quoted(name), data.size(), tensor.size_bytes));
  }
  tensor.data = data;
  tensor.has_data = true;
}

void Writer::declare_tensor(std::string_view name, DType type, std::span<const std::size_t> shape) {
  add(name, type, shape);
}

std::vector<std::size_t> Writer::file_order() const {
  std::vector<std::size_t> order(tensors_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [this](std::size_t a, std::size_t b) {
    const std::size_t rank_a = type_rank(tensors_[a].type);
    const std::size_t rank_b = type_rank(tensors_[b].type);
    return rank_a != rank_b ? rank_a > rank_b : tensors_[a].name < tensors_[b].name;
  });
  return order;
}

Writer::Layout Writer::layout() const {
  ordered_json header = ordered_json::object();
  if (!metadata_.empty()) {
    ordered_json& metadata = header[std::string(kMetadataName)] = ordered_json::object();
    for (const auto& [key, value] : metadata_) metadata[key] = value;
  }
  Layout out;
  out.offsets.resize(tensors_.size());
  out.sizes.resize(tensors_.size());
  std::size_t end = 0;
  // The library looks for an equal key before it appends one, which takes quadratic time; the
  // names are known to differ, so members are put at the end as they are.
  auto& members = header.get_ref<ordered_json::object_t&>();
  for (const std::size_t i : file_order()) {
    const Tensor& tensor = tensors_[i];
    const std::size_t begin = end;
    if (__builtin_add_overflow(begin, tensor.size_bytes, &end)) {
      throw RequestError(
          fmt::format("cannot write tensor {}: the file would be too large", quoted(tensor.name)));
    }
    out.offsets[i] = begin;
    out.sizes[i] = tensor.size_bytes;
    ordered_json entry;
    entry["dtype"] = dtype_name(tensor.type);
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {begin, end};
    members.push_back({tensor.name, std::move(entry)});
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  out.header.resize(kLengthBytes + text.size());
  std::memcpy(out.header.data(), &length, kLengthBytes);
  std::memcpy(out.header.data() + kLengthBytes, text.data(), text.size());
  for (std::size_t& offset : out.offsets) offset += out.header.size();
  out.file_bytes = out.header.size() + end;
  return out;
}

void Writer::require_data() const {
  for (const Tensor& tensor : tensors_) {
    if (!tensor.has_data) {
      throw RequestError(
          fmt::format("cannot write tensor {}: it was only declared", quoted(tensor.name)));
    }
  }
}

std::vector<std::byte> Writer::to_bytes() const {
  require_data();
  const Layout places = layout();
  std::vector<std::byte> out = places.header;
  out.reserve(places.file_bytes);
  for (const std::size_t i : file_order()) {
    out.insert(out.end(), tensors_[i].data.begin(), tensors_[i].data.end());
  }
  return out;
}

void Writer::write(const std::string& path) const {
  require_data();
  OutputFile file(path);
  file.write(layout().header);
  for (const std::size_t i : file_order()) file.write(tensors_[i].data);
  file.commit();
}

}  // namespace foretoken::safetensors
