#include "convert/json_node.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"

namespace foretoken::convert {
namespace {

using nlohmann::ordered_json;

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxMembers = 20'000;

// Told of every step of the parser, it ends what goes too far.
class Limits {
 public:
  Limits(const std::string& file, std::string_view skipped) : file_(file), skipped_(skipped) {}

  /// Whether the value that this step is about is wanted.
  bool operator()(int depth, ordered_json::parse_event_t event, const ordered_json& value) {
    using Event = ordered_json::parse_event_t;
    if (depth > kMaxDepth) {
      throw FormatError(fmt::format("{}: nested deeper than {} levels", file_, kMaxDepth));
    }
    if (event == Event::object_start) n_members_.push_back(0);
    if (event == Event::object_end) n_members_.pop_back();
    if (event != Event::key) return true;
    if (depth == 1 && !skipped_.empty() && value == skipped_) {
      skipping_ = true;
      return false;
    }
    if (depth == 1) skipping_ = false;
    if (!skipping_ && ++n_members_.back() > kMaxMembers) {
      throw FormatError(fmt::format("{}: an object with more than {} members", file_, kMaxMembers));
    }
    return true;
  }

 private:
  const std::string& file_;
  std::string_view skipped_;
  std::vector<std::size_t> n_members_;  // of the objects that are open
  bool skipping_ = false;
};

}  // namespace

ordered_json parse_json_object(std::string_view text, const std::string& file,
                               std::string_view skipped) {
  Limits limits(file, skipped);
  try {
    ordered_json value = ordered_json::parse(
        text, [&limits](int depth, ordered_json::parse_event_t event, ordered_json& parsed) {
          return limits(depth, event, parsed);
        });
    if (!value.is_object()) throw FormatError(fmt::format("{}: expected a JSON object", file));
    return value;
  } catch (const ordered_json::exception& error) {
    throw FormatError(fmt::format("{}: not valid JSON: {}", file, printable(error.what(), 256)));
  }
}

std::string read_text_file(const std::string& path, std::size_t limit) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.size() > limit) {
    throw FormatError(fmt::format("{}: {} bytes; expected at most {}", path, bytes.size(), limit));
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

ordered_json read_json_object(const std::string& path, std::string_view skipped) {
  return parse_json_object(read_text_file(path), path, skipped);
}

JsonNode JsonNode::get(std::string_view key) const {
  static const ordered_json absent;
  if (!value_->is_object()) throw_type("an object");
  const auto member = value_->find(std::string(key));
  std::string path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  return {member == value_->end() ? absent : *member, *file_, std::move(path)};
}

JsonNode JsonNode::at(std::size_t i) const {
  return {(*value_)[i], *file_, fmt::format("{}[{}]", path_, i)};
}

std::size_t JsonNode::size() const {
  if (!value_->is_array()) throw_type("an array");
  return value_->size();
}

std::int64_t JsonNode::require_int(std::int64_t low, std::int64_t high) const {
  // A number above the range of int64 is stored unsigned and would wrap.
  const bool fits = value_->is_number_integer() &&
                    (!value_->is_number_unsigned() ||
                     value_->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
  const std::int64_t number = fits ? value_->get<std::int64_t>() : 0;
  if (!fits || number < low || number > high) {
    throw_type(fmt::format("an integer from {} to {}", low, high));
  }
  return number;
}

double JsonNode::require_number(double low, double high) const {
  const double number = value_->is_number() ? value_->get<double>() : std::nan("");
  if (!(number >= low && number <= high)) {
    throw_type(fmt::format("a number from {} to {}", low, high));
  }
  return number;
}

const std::string& JsonNode::require_string() const {
  if (!value_->is_string()) throw_type("a string");
  return value_->get_ref<const std::string&>();
}

bool JsonNode::require_bool() const {
  if (!value_->is_boolean()) throw_type("true or false");
  return value_->get<bool>();
}

void JsonNode::throw_type(std::string_view expected) const {
  throw FormatError(
      fmt::format("{}: '{}' is {}; expected {}", *file_, printable(path_), shown(), expected));
}

void JsonNode::throw_unsupported(std::string_view supported) const {
  throw UnsupportedError(
      fmt::format("{}: '{}' is {}; supported is {}", *file_, printable(path_), shown(), supported));
}

std::string JsonNode::shown() const {
  if (value_->is_null()) return "missing";
  if (value_->is_structured()) return value_->is_array() ? "an array" : "an object";
  return printable(value_->dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

}  // namespace foretoken::convert
