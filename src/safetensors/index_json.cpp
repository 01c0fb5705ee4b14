#include "safetensors/index_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::safetensors {
namespace {

constexpr std::size_t kMaxDepth = 8;

bool is_plain_name(std::string_view name) {
  constexpr std::string_view kForbidden("/\\\0", 3);
  return !name.empty() && name != "." && name.find("..") == std::string_view::npos &&
         name.find_first_of(kForbidden) == std::string_view::npos;
}

/// Walks any strict JSON object and keeps the strings of its member weight_map.
class IndexReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit IndexReader(const std::string& file) : file_(file) {}

  bool has_map() const { return has_map_; }
  WeightMap take() { return std::move(map_); }

  bool null() override { return other_value(); }
  bool boolean(bool /*value*/) override { return other_value(); }
  bool number_integer(number_integer_t /*value*/) override { return other_value(); }
  bool number_unsigned(number_unsigned_t /*value*/) override { return other_value(); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override {
    return other_value();
  }
  bool binary(binary_t& /*value*/) override { return other_value(); }

  bool string(string_t& value) override {
    if (!at_map_member()) return other_value();
    if (!is_plain_name(value)) {
      throw FormatError(
          fmt::format("{}: weight_map: {} is said to be in {}; expected the plain "
                      "name of a file beside the index",
                      file_, quoted(names_.back()), quoted(value)));
    }
    map_.emplace(names_.back(), std::move(value));
    return true;
  }

  bool start_object(std::size_t /*elements*/) override {
    // Depth 1 is the document, depth 2 the map itself.
    if (levels_.size() == 1 && names_.back() == "weight_map") {
      has_map_ = true;
    } else if (!levels_.empty()) {
      other_value();
    }
    enter(true);
    return true;
  }
  bool start_array(std::size_t /*elements*/) override {
    if (levels_.empty()) fail("the document is not an object");
    other_value();
    enter(false);
    return true;
  }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }

  bool key(string_t& name) override {
    if (!levels_.back().members.insert(name).second) {
      fail(fmt::format("{} is there twice", quoted(name)));
    }
    names_.back() = name;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    fail(fmt::format("byte {}: {}", position, printable(error.what(), 200)));
  }

 private:
  struct Level {
    bool is_object = false;
    std::set<std::string, std::less<>> members;
  };

  bool at_map_member() const {
    return levels_.size() == 2 && levels_.back().is_object && names_.front() == "weight_map";
  }
  /// A value that we have no use for; refused where a file name or the map has to be.
  bool other_value() {
    if (at_map_member() || (levels_.size() == 1 && names_.back() == "weight_map")) {
      fail(fmt::format("{} has a value that is no text", quoted(names_.back())));
    }
    return true;
  }
  void enter(bool is_object) {
    if (levels_.size() == kMaxDepth) fail(fmt::format("nested deeper than {}", kMaxDepth));
    levels_.push_back({is_object, {}});
    names_.emplace_back();
  }
  bool leave() {
    levels_.pop_back();
    names_.pop_back();
    return true;
  }
  [[noreturn]] void fail(const std::string& found) const {
    throw FormatError(
        fmt::format("{}: {}; expected strict JSON with a member weight_map of tensor "
                    "names and file names, each member once",
                    file_, found));
  }

  const std::string& file_;
  WeightMap map_;
  bool has_map_ = false;
  std::vector<Level> levels_;
  std::vector<std::string> names_;  // the member being read, of every level
};

}  // namespace

WeightMap parse_index(std::string_view text, const std::string& file) {
  // See parse_header: the library takes a zero byte for the end of the text.
  if (text.find('\0') != std::string_view::npos) {
    throw FormatError(fmt::format("{}: a zero byte in the text; expected JSON", file));
  }
  IndexReader reader(file);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  WeightMap map = reader.take();
  if (map.empty()) {
    throw FormatError(fmt::format("{}: weight_map is {}; expected tensor names and file names",
                                  file, reader.has_map() ? "empty" : "missing"));
  }
  return map;
}

}  // namespace foretoken::safetensors
