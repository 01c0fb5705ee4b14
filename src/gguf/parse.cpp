// Header, keys and tensor list of one GGUF file. Every count is compared with the bytes that are
// left before anything is allocated for it, and every product and sum is tested for overflow
// before it is used.
// Source: docs/gguf.md; gguf.cpp of llama.cpp de3ff815 for the layout and for the shapes whose
// products wrap there.
#include "gguf/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"

namespace foretoken::gguf {
namespace {

constexpr std::uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
constexpr std::uint64_t kMaxEntries = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxTensors = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxLength = std::uint64_t{1} << 30;  // of a string, of an array
constexpr std::uint64_t kMaxKeyBytes = 65535;
constexpr std::uint64_t kMaxNameBytes = 63;
constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 48;
constexpr std::uint32_t kMaxDims = 4;
constexpr std::uint32_t kFirstForkType = 97;  // ids from here on are used by ik_llama.cpp only

std::string_view view_chars(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Smallest multiple of `alignment` (a power of two) that is not below n. Requires no overflow.
std::uint64_t padded(std::uint64_t n, std::uint64_t alignment) {
  return (n + alignment - 1) & ~(alignment - 1);
}

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& name, const OpenOptions& options)
      : cursor_(bytes, name), size_(bytes.size()), options_(options) {
    out_.metadata = Metadata(name);
  }

  ParsedFile run() {
    read_magic_and_version();
    const auto n_tensors = cursor_.read<std::uint64_t>("the tensor count");
    const auto n_entries = cursor_.read<std::uint64_t>("the key count");
    check_count(n_entries, kMinEntryBytes, kMaxEntries, "keys");
    check_count(n_tensors, kMinTensorBytes, kMaxTensors, "tensors");
    for (std::uint64_t i = 0; i < n_entries; ++i) read_entry(i);
    read_alignment();
    for (std::uint64_t i = 0; i < n_tensors; ++i) read_tensor(i);
    place_tensors();
    return std::move(out_);
  }

 private:
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw FormatError(cursor_.file() + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

  void read_magic_and_version();
  void check_count(std::uint64_t count, std::uint64_t min_bytes, std::uint64_t most,
                   std::string_view what) const;
  std::string_view read_text(std::uint64_t max_bytes, std::string_view what);
  void check_plain(std::string_view text, std::string_view what) const;
  ValueType read_value_type(std::string_view what);
  void read_entry(std::uint64_t index);
  void read_array(Entry& entry, std::string_view what);
  void skip_value(ValueType type, std::string_view what);
  void read_alignment();
  void read_tensor(std::uint64_t index);
  void read_shape(TensorInfo& tensor);
  void read_tensor_type(TensorInfo& tensor);
  void place_tensors();
  void check_consecutive() const;
  void check_apart();
  void check_ends(std::size_t data_start);

  ByteCursor cursor_;
  std::size_t size_;
  OpenOptions options_;
  ParsedFile out_;
  std::set<std::string_view> names_;  // of the tensors, borrowed from the file
};

void Parser::read_magic_and_version() {
  if (size_ < 24) {
    fail("{} bytes are too few for a GGUF file, whose header has 24; fetch it again", size_);
  }
  const std::string_view magic = view_chars(cursor_.read_bytes(4, "the magic"));
  if (magic != "GGUF") {
    const char* hint = magic == "vers"         ? " (a Git LFS pointer: run `git lfs pull`)"
                       : magic == "<!DO"       ? " (an HTML page: the download address was wrong)"
                       : magic == "PK\x03\x04" ? " (a ZIP or PyTorch file: convert it first)"
                                               : "";
    fail("offset 0: expected the magic 'GGUF', found {}{}; this is not a GGUF file", quoted(magic),
         hint);
  }
  const auto version = cursor_.read<std::uint32_t>("the version");
  if (version != 0 && (version & 0xFFFF) == 0) {
    fail(
        "offset 4: version {:#010x} means a big-endian file, which is not supported; convert it "
        "to little-endian first",
        version);
  }
  if (version != 2 && version != 3) {
    fail("offset 4: GGUF version {} is not supported (2 and 3 are); convert the model again",
         version);
  }
  out_.version = static_cast<int>(version);
}

void Parser::check_count(std::uint64_t count, std::uint64_t min_bytes, std::uint64_t most,
                         std::string_view what) const {
  if (count > cursor_.remaining() / min_bytes) {
    fail(
        "the header announces {} {} of at least {} bytes each, but only {} bytes follow; the file "
        "is cut short or damaged",
        count, what, min_bytes, cursor_.remaining());
  }
  if (count > most) {
    fail("the header announces {} {}; at most {} are accepted", count, what, most);
  }
}

std::string_view Parser::read_text(std::uint64_t max_bytes, std::string_view what) {
  const std::size_t at = cursor_.position();
  const auto length = cursor_.read<std::uint64_t>(fmt::format("the length of {}", what));
  if (length > max_bytes && length <= cursor_.remaining()) {
    fail("offset {}: {} has {} bytes; at most {} are accepted", at, what, length, max_bytes);
  }
  return view_chars(cursor_.read_bytes(length, what));
}

void Parser::check_plain(std::string_view text, std::string_view what) const {
  if (text.empty()) fail("offset {}: {} has an empty name", cursor_.position() - 8, what);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      fail("offset {}: the name of {} contains the control byte {:#04x}: {}",
           cursor_.position() - text.size(), what, byte, quoted(text));
    }
  }
}

ValueType Parser::read_value_type(std::string_view what) {
  const std::size_t at = cursor_.position();
  const auto id = cursor_.read<std::uint32_t>(what);
  if (id > static_cast<std::uint32_t>(ValueType::F64)) {
    fail("offset {}: {} is {}; value types go from 0 to 12", at, what, id);
  }
  return static_cast<ValueType>(id);
}

void Parser::read_entry(std::uint64_t index) {
  const std::string what = fmt::format("key {}", index);
  Entry entry;
  entry.key = read_text(kMaxKeyBytes, what);
  check_plain(entry.key, what);
  const std::string key = "key " + quoted(entry.key);
  if (out_.metadata.has(entry.key)) fail("{} appears twice", key);
  entry.type = read_value_type("the value type of " + key);
  entry.element_type = entry.type;
  if (entry.type == ValueType::Array) {
    read_array(entry, key);
  } else {
    const std::size_t at = cursor_.position();
    skip_value(entry.type, "the value of " + key);
    entry.value = cursor_.window(at, cursor_.position());
  }
  if (entry.element_type == ValueType::Bool &&
      std::any_of(entry.value.begin(), entry.value.end(),
                  [](std::byte b) { return b > std::byte{1}; })) {
    out_.warnings.push_back(key + " holds a bool other than 0 and 1, read as true");
  }
  static_cast<void>(out_.metadata.add(entry));  // its absence was tested above
}

void Parser::read_array(Entry& entry, std::string_view key) {
  const std::string what = fmt::format("the array of {}", key);
  entry.element_type = read_value_type(fmt::format("the element type of {}", key));
  if (entry.element_type == ValueType::Array) fail("{} is an array of arrays, refused", key);
  const std::size_t count_at = cursor_.position();
  const auto count = cursor_.read<std::uint64_t>(fmt::format("the element count of {}", key));
  const bool strings = entry.element_type == ValueType::String;
  const std::uint64_t min_bytes = strings ? 8 : value_type_size(entry.element_type);
  if (count > cursor_.remaining() / min_bytes) {
    fail(
        "offset {}: {} announces {} elements of at least {} bytes each but {} bytes are left; the "
        "file is cut short or damaged",
        count_at, what, count, min_bytes, cursor_.remaining());
  }
  if (count > kMaxLength) {
    fail("offset {}: {} has {} elements; at most {} are accepted", count_at, what, count,
         kMaxLength);
  }
  entry.count = static_cast<std::size_t>(count);
  const std::size_t begin = cursor_.position();
  if (strings) {
    // One text for all elements: building one per element would dominate the opening of a file
    // with a vocabulary of 250 thousand.
    const std::string element = fmt::format("a string of {}", what);
    for (std::uint64_t i = 0; i < count; ++i) skip_value(ValueType::String, element);
  } else {
    static_cast<void>(cursor_.read_bytes(count * min_bytes, what));
  }
  entry.value = cursor_.window(begin, cursor_.position());
}

void Parser::skip_value(ValueType type, std::string_view what) {
  if (type != ValueType::String) {
    static_cast<void>(cursor_.read_bytes(value_type_size(type), what));
    return;
  }
  const std::size_t at = cursor_.position();
  const auto length = cursor_.read<std::uint64_t>(what);
  if (length > kMaxLength && length <= cursor_.remaining()) {
    fail("offset {}: {} has {} bytes; at most {} are accepted", at, what, length, kMaxLength);
  }
  static_cast<void>(cursor_.read_bytes(length, what));
}

void Parser::read_alignment() {
  const auto value = out_.metadata.find_u32("general.alignment");
  if (!value) return;
  if (!std::has_single_bit(*value) || *value < 8 || *value > 65536) {
    fail("key 'general.alignment' is {}; a power of two from 8 to 65536 is expected", *value);
  }
  out_.alignment = *value;
}

void Parser::read_tensor(std::uint64_t index) {
  const std::string what = fmt::format("tensor {}", index);
  TensorInfo tensor;
  const std::string_view name = read_text(kMaxNameBytes, "the name of " + what);
  check_plain(name, what);
  tensor.name = name;
  if (!names_.insert(name).second) fail("tensor {} appears twice", quoted(name));
  read_shape(tensor);
  read_tensor_type(tensor);
  const std::size_t at = cursor_.position();
  const auto offset = cursor_.read<std::uint64_t>("the offset of tensor " + quoted(name));
  if (offset > size_) {
    fail(
        "offset {}: tensor {} lies at {} of the data section, beyond the end of the file of {} "
        "bytes; it is cut short or damaged, fetch it again",
        at, quoted(name), offset, size_);
  }
  tensor.offset = static_cast<std::size_t>(offset);  // of the data section; see place_tensors
  out_.tensors.push_back(std::move(tensor));
}

// The one place where a file's dimension order (fastest first) becomes ours (outermost first).
void Parser::read_shape(TensorInfo& tensor) {
  const std::string name = quoted(tensor.name);
  const std::size_t at = cursor_.position();
  const auto n_dims = cursor_.read<std::uint32_t>("the dimension count of tensor " + name);
  if (n_dims < 1 || n_dims > kMaxDims) {
    fail("offset {}: tensor {} has {} dimensions; 1 to {} are accepted", at, name, n_dims,
         kMaxDims);
  }
  std::uint64_t n_elements = 1;
  tensor.shape.resize(n_dims);
  for (std::uint32_t j = 0; j < n_dims; ++j) {
    const auto length = cursor_.read<std::uint64_t>("a dimension of tensor " + name);
    if (length == 0 ||
        length > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      fail("tensor {}: dimension {} is {}; it must be positive", name, j,
           static_cast<std::int64_t>(length));
    }
    if (length > kMaxElements / n_elements) {
      fail("tensor {} has more than 2^48 elements (dimension {} is {}); the shape is damaged", name,
           j, length);
    }
    n_elements *= length;
    tensor.shape[n_dims - 1 - j] = static_cast<std::size_t>(length);
  }
}

void Parser::read_tensor_type(TensorInfo& tensor) {
  const std::string name = quoted(tensor.name);
  const std::size_t at = cursor_.position();
  const auto id = cursor_.read<std::uint32_t>("the type of tensor " + name);
  const auto info = quant::find_type(id);
  if (!info) {
    const char* hint = id >= kFirstForkType
                           ? "; this looks like a quantization of ik_llama.cpp, get or make the "
                             "file with a type of llama.cpp"
                           : "; it is unknown or was removed, make the file again";
    fail("offset {}: tensor {} has type id {}{}", at, name, id, hint);
  }
  tensor.type = static_cast<quant::Type>(id);
  const auto block = static_cast<std::size_t>(info->block_elements);
  if (tensor.n_cols() % block != 0) {
    fail("tensor {} of type {} has rows of {} elements; they must be a multiple of {}", name,
         info->name, tensor.n_cols(), block);
  }
  // At most 2^48 elements of at most 8 bytes: no overflow.
  tensor.size_bytes = tensor.n_elements() / block * static_cast<std::size_t>(info->block_bytes);
}

// Checks the offsets, then makes them count from the start of the file.
void Parser::place_tensors() {
  const std::uint64_t data_start = padded(cursor_.position(), out_.alignment);
  if (out_.tensors.empty()) {
    if (size_ > data_start) {
      out_.warnings.push_back(
          fmt::format("{} bytes follow the header of a file without tensors", size_ - data_start));
    }
    return;
  }
  if (options_.lenient) {
    check_apart();
  } else {
    check_consecutive();
  }
  check_ends(static_cast<std::size_t>(data_start));
}

void Parser::check_consecutive() const {
  std::uint64_t expected = 0;
  for (const TensorInfo& tensor : out_.tensors) {
    if (tensor.offset != expected) {
      fail(
          "tensor {} lies at {} of the data section but {} is expected, right after the tensor "
          "before it; the file has gaps or overlaps (`foretoken inspect --lenient` may show it)",
          quoted(tensor.name), tensor.offset, expected);
    }
    // offset <= file size and size_bytes <= 2^51: no overflow
    expected = padded(expected + tensor.size_bytes, out_.alignment);
  }
}

void Parser::check_apart() {
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& tensor : out_.tensors) {
    if (tensor.offset % out_.alignment != 0) {
      fail("tensor {} lies at {} of the data section, not a multiple of the alignment {}",
           quoted(tensor.name), tensor.offset, out_.alignment);
    }
    order.push_back(&tensor);
  }
  const auto by_offset = [](const TensorInfo* a, const TensorInfo* b) {
    return a->offset < b->offset;
  };
  if (!std::is_sorted(order.begin(), order.end(), by_offset)) {
    out_.warnings.push_back("the tensors are not stored in the order in which they are listed");
    std::sort(order.begin(), order.end(), by_offset);
  }
  std::size_t end = 0;
  std::size_t gaps = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i]->offset < end) {
      fail("tensors {} and {} overlap at {} of the data section", quoted(order[i - 1]->name),
           quoted(order[i]->name), order[i]->offset);
    }
    if (order[i]->offset > padded(end, out_.alignment)) ++gaps;
    end = order[i]->offset + order[i]->size_bytes;
  }
  if (gaps > 0) out_.warnings.push_back(fmt::format("{} gaps between the tensors", gaps));
}

void Parser::check_ends(std::size_t data_start) {
  std::size_t last_end = data_start;
  for (TensorInfo& tensor : out_.tensors) {
    tensor.offset += data_start;
    const std::size_t end = tensor.offset + tensor.size_bytes;
    if (end > size_) {
      fail("tensor {} ends at offset {} but the file has {} bytes; it is cut short, fetch it again",
           quoted(tensor.name), end, size_);
    }
    last_end = std::max(last_end, end);
  }
  const std::uint64_t padded_end = padded(last_end, out_.alignment);
  if (size_ < padded_end) {
    out_.warnings.push_back("the padding after the last tensor is missing");
  } else if (size_ > padded_end) {
    out_.warnings.push_back(
        fmt::format("{} bytes follow the last tensor and are ignored", size_ - padded_end));
  }
}

}  // namespace

ParsedFile parse_file(std::span<const std::byte> bytes, const std::string& name,
                      const OpenOptions& options) {
  return Parser(bytes, name, options).run();
}

}  // namespace foretoken::gguf
