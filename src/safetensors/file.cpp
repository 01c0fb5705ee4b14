#include "safetensors/file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"
#include "safetensors/header_json.h"

namespace foretoken::safetensors {
namespace {

// As the reference reader: a longer header is an attack or damage.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kLengthBytes = 8;

struct DTypeRow {
  DType type;
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array kDTypes = {
    DTypeRow{DType::Bool, "BOOL", 1},       DTypeRow{DType::U8, "U8", 1},
    DTypeRow{DType::I8, "I8", 1},           DTypeRow{DType::F8_E4M3, "F8_E4M3", 1},
    DTypeRow{DType::F8_E5M2, "F8_E5M2", 1}, DTypeRow{DType::F8_E8M0, "F8_E8M0", 1},
    DTypeRow{DType::I16, "I16", 2},         DTypeRow{DType::U16, "U16", 2},
    DTypeRow{DType::F16, "F16", 2},         DTypeRow{DType::BF16, "BF16", 2},
    DTypeRow{DType::I32, "I32", 4},         DTypeRow{DType::U32, "U32", 4},
    DTypeRow{DType::F32, "F32", 4},         DTypeRow{DType::F64, "F64", 8},
    DTypeRow{DType::I64, "I64", 8},         DTypeRow{DType::U64, "U64", 8},
};

constexpr bool rows_in_enum_order() {
  for (std::size_t i = 0; i < kDTypes.size(); ++i) {
    if (static_cast<std::size_t>(kDTypes[i].type) != i) return false;
  }
  return true;
}
static_assert(rows_in_enum_order());

DType require_dtype(const HeaderTensor& tensor, const std::string& file) {
  const auto row = std::ranges::find(kDTypes, std::string_view(tensor.dtype), &DTypeRow::name);
  if (row == kDTypes.end()) {
    throw UnsupportedError(
        fmt::format("{}: tensor {}: type {} is not supported; expected BF16, "
                    "F16, F32 or another plain type",
                    file, quoted(tensor.name), quoted(tensor.dtype)));
  }
  return row->type;
}

/// Bytes of the tensor, from its shape; the product is checked at every step, zeros included.
std::size_t require_size(const HeaderTensor& tensor, std::size_t element_bytes,
                         const std::string& file) {
  std::uint64_t size = element_bytes;
  for (const std::uint64_t length : tensor.shape) {
    if (__builtin_mul_overflow(size, length, &size)) {
      throw FormatError(
          fmt::format("{}: tensor {}: shape [{}] has more bytes than fit into 64 "
                      "bits",
                      file, quoted(tensor.name), fmt::join(tensor.shape, ", ")));
    }
  }
  return static_cast<std::size_t>(size);
}

/// Lengths are below 2^63 and pointers have 64 bits, so nothing is lost.
std::vector<std::size_t> to_shape(const std::vector<std::uint64_t>& lengths) {
  static_assert(sizeof(std::size_t) == sizeof(std::uint64_t));
  return {lengths.begin(), lengths.end()};
}

/// The data must be covered exactly. Two empty tensors may share a place.
void check_coverage(const std::vector<TensorInfo>& tensors, std::size_t data_begin,
                    std::size_t data_end, const std::string& file) {
  std::vector<const TensorInfo*> order;
  order.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, {}, [](const TensorInfo* tensor) {
    return std::pair(tensor->offset, tensor->offset + tensor->size_bytes);
  });
  std::size_t covered = data_begin;
  for (const TensorInfo* tensor : order) {
    if (tensor->offset != covered) {
      throw FormatError(fmt::format(
          "{}: tensor {} starts at byte {} of the data where byte {} is next; expected no {}", file,
          quoted(tensor->name), tensor->offset - data_begin, covered - data_begin,
          tensor->offset > covered ? "hole between tensors" : "overlap of tensors"));
    }
    covered += tensor->size_bytes;
  }
  if (covered != data_end) {
    throw FormatError(fmt::format("{}: {} bytes follow the last tensor; expected none", file,
                                  data_end - covered));
  }
}

}  // namespace

std::string_view dtype_name(DType type) { return kDTypes[static_cast<std::size_t>(type)].name; }

std::size_t dtype_bytes(DType type) { return kDTypes[static_cast<std::size_t>(type)].bytes; }

std::size_t TensorInfo::n_elements() const {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

File File::open(const std::string& path) {
  File file;
  file.path_ = path;
  file.mapping_ = MappedFile(path);
  file.bytes_ = file.mapping_.bytes();
  file.parse();
  return file;
}

File File::from_memory(std::span<const std::byte> bytes, const std::string& name) {
  File file;
  file.path_ = name;
  file.bytes_ = bytes;
  file.parse();
  return file;
}

void File::parse() {
  ByteCursor cursor(bytes_, path_);
  const auto header_bytes = cursor.read<std::uint64_t>("the length of the header");
  if (header_bytes > kMaxHeaderBytes) {
    throw FormatError(
        fmt::format("{}: the header is said to have {} bytes; expected at most {}: "
                    "this is not a safetensors file, or it is damaged",
                    path_, header_bytes, kMaxHeaderBytes));
  }
  const auto text = cursor.read_bytes(header_bytes, "the header");
  Header header = parse_header({reinterpret_cast<const char*>(text.data()), text.size()}, path_);
  metadata_ = std::move(header.metadata);

  const std::size_t data_begin = kLengthBytes + text.size();
  const std::size_t data_bytes = bytes_.size() - data_begin;
  tensors_.reserve(header.tensors.size());
  for (HeaderTensor& tensor : header.tensors) {
    const DType type = require_dtype(tensor, path_);
    const std::size_t size = require_size(tensor, dtype_bytes(type), path_);
    if (tensor.begin > tensor.end || tensor.end > data_bytes) {
      throw FormatError(fmt::format(
          "{}: tensor {}: data_offsets [{}, {}] do not lie in the {} bytes of data; the file is "
          "cut short or damaged, fetch it again",
          path_, quoted(tensor.name), tensor.begin, tensor.end, data_bytes));
    }
    if (tensor.end - tensor.begin != size) {
      throw FormatError(fmt::format("{}: tensor {}: data_offsets hold {} bytes, but {} [{}] has {}",
                                    path_, quoted(tensor.name), tensor.end - tensor.begin,
                                    dtype_name(type), fmt::join(tensor.shape, ", "), size));
    }
    tensors_.push_back({std::move(tensor.name), type, to_shape(tensor.shape),
                        data_begin + static_cast<std::size_t>(tensor.begin), size});
  }
  check_coverage(tensors_, data_begin, bytes_.size(), path_);
  std::ranges::sort(tensors_, {}, &TensorInfo::name);
}

const TensorInfo* File::find_tensor(std::string_view name) const {
  const auto place = std::ranges::lower_bound(
      tensors_, name, {}, [](const TensorInfo& tensor) { return std::string_view(tensor.name); });
  return place != tensors_.end() && place->name == name ? &*place : nullptr;
}

std::span<const std::byte> File::data(const TensorInfo& tensor) const {
  return bytes_.subspan(tensor.offset, tensor.size_bytes);
}

void File::drop_pages(const TensorInfo& tensor) const {
  mapping_.drop_pages(tensor.offset, tensor.size_bytes);
}

}  // namespace foretoken::safetensors
