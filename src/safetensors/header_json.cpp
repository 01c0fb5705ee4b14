// A state machine over nlohmann's SAX events. The document form of that library would keep the last
// of two equal members silently and turn deep nesting into deep memory; events do neither: the
// grammar of a header is three levels deep, and everything else is refused where it starts.
#include "safetensors/header_json.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::safetensors {
namespace {

constexpr std::string_view kMetadataName = "__metadata__";
// More than any framework makes; keeps one tensor's shape from filling memory.
constexpr std::size_t kMaxDims = 32;

class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}

  Header take() { return std::move(header_); }

  bool null() override { refuse("null"); }
  bool boolean(bool value) override { refuse(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { refuse(fmt::format("{}", value)); }
  bool number_float(number_float_t /*value*/, const string_t& text) override {
    refuse(printable(text, 32));
  }
  bool binary(binary_t& /*value*/) override { refuse("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      refuse(fmt::format("{}", value));
    }
    HeaderTensor& tensor = header_.tensors.empty() ? unused_ : header_.tensors.back();
    if (place_ == Place::Shape) {
      if (tensor.shape.size() == kMaxDims) fail(fmt::format("more than {} dimensions", kMaxDims));
      tensor.shape.push_back(value);
    } else if (place_ == Place::Offsets && n_offsets_ < 2) {
      (n_offsets_++ == 0 ? tensor.begin : tensor.end) = value;
    } else {
      refuse(fmt::format("the number {}", value));
    }
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::Metadata) {
      header_.metadata.back().second = std::move(value);
    } else if (place_ == Place::Tensor && member_ == "dtype") {
      header_.tensors.back().dtype = std::move(value);
    } else {
      refuse(quoted(value, 32));
    }
    return true;
  }

  bool start_object(std::size_t /*elements*/) override {
    switch (place_) {
      case Place::Start:
        place_ = Place::Top;
        return true;
      case Place::TopValue:
        if (name_ == kMetadataName) {
          place_ = Place::Metadata;
          return true;
        }
        header_.tensors.emplace_back().name = name_;
        place_ = Place::Tensor;
        seen_ = 0;
        return true;
      case Place::Top:
      case Place::Metadata:
      case Place::Tensor:
      case Place::Shape:
      case Place::Offsets:
        break;
    }
    refuse("an object");
  }

  bool key(string_t& name) override {
    if (place_ == Place::Top) {
      if (!names_.insert(name).second) {
        throw FormatError(fmt::format("{}: header: {} is there twice; expected every member once",
                                      file_, quoted(name)));
      }
      name_ = name;
      place_ = Place::TopValue;
    } else if (place_ == Place::Metadata) {
      if (!metadata_names_.insert(name).second) {
        throw FormatError(
            fmt::format("{}: header: __metadata__: {} is there twice; expected every "
                        "member once",
                        file_, quoted(name)));
      }
      header_.metadata.emplace_back(name, "");
    } else {
      const unsigned bit = member_bit(name);
      if (bit == 0) fail(fmt::format("unknown member {}", quoted(name)));
      if ((seen_ & bit) != 0) fail(fmt::format("{} is there twice", quoted(name)));
      seen_ |= bit;
      member_ = name;
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::Tensor && seen_ != 7) fail("dtype, shape or data_offsets is missing");
    place_ = place_ == Place::Top ? Place::Start : Place::Top;
    return true;
  }

  bool start_array(std::size_t /*elements*/) override {
    if (place_ != Place::Tensor || member_ == "dtype") refuse("an array");
    n_offsets_ = 0;
    place_ = member_ == "shape" ? Place::Shape : Place::Offsets;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::Offsets && n_offsets_ != 2) fail("data_offsets is not two numbers");
    place_ = Place::Tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    throw FormatError(
        fmt::format("{}: the header is not valid JSON at its byte {}: {}; the file "
                    "is damaged, fetch it again",
                    file_, position, printable(error.what(), 200)));
  }

 private:
  enum class Place { Start, Top, TopValue, Metadata, Tensor, Shape, Offsets };

  static unsigned member_bit(std::string_view name) {
    if (name == "dtype") return 1;
    if (name == "shape") return 2;
    return name == "data_offsets" ? 4 : 0;
  }

  [[noreturn]] void fail(const std::string& found) const {
    throw FormatError(
        fmt::format("{}: header: tensor {}: {}; expected dtype, shape and "
                    "data_offsets, each once",
                    file_, quoted(name_), found));
  }
  [[noreturn]] void refuse(const std::string& found) const {
    const std::string where = place_ == Place::Metadata ? "__metadata__"
                              : name_.empty()           ? "the top"
                                                        : quoted(name_);
    throw FormatError(fmt::format(
        "{}: header: {} at {}; expected tensors with a dtype string, a shape of whole numbers and "
        "two data_offsets, and strings in __metadata__",
        file_, found, where));
  }

  const std::string& file_;
  Header header_;
  HeaderTensor unused_;
  Place place_ = Place::Start;
  std::string name_;    // member of the top object being read
  std::string member_;  // member of a tensor being read
  unsigned seen_ = 0;   // members of this tensor, by member_bit
  int n_offsets_ = 0;
  std::set<std::string, std::less<>> names_;
  std::set<std::string, std::less<>> metadata_names_;
};

}  // namespace

Header parse_header(std::string_view text, const std::string& file) {
  // The library skips a byte-order mark, takes a zero byte for the end of the text, and allows any
  // white space behind it; a header starts with its brace and is filled up with spaces only.
  const std::size_t last = text.find_last_not_of(' ');
  if (!text.starts_with('{') || text[last] != '}' || text.find('\0') != std::string_view::npos) {
    throw FormatError(
        fmt::format("{}: the header is not one JSON object followed by spaces only; "
                    "expected a safetensors file",
                    file));
  }
  HeaderReader reader(file);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  return reader.take();
}

}  // namespace foretoken::safetensors
