// One value of a JSON file with the path that led to it, so that every complaint can name file and
// member. Behind it a parser with limits: size, depth, valid UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace foretoken::convert {

/// Parses `text`; `file` stands in error texts. Members keep the order of the file, and finding one
/// takes a walk over them; so an object may have at most 20,000, and the member `skipped` of the
/// outermost object is checked but left out (the vocabulary of a tokenizer.json is in "model").
/// Throws FormatError for anything but one JSON object of at most 64 levels.
nlohmann::ordered_json parse_json_object(std::string_view text, const std::string& file,
                                         std::string_view skipped = {});
/// Reads a file of at most 512 MB and parses it. Also throws IoError.
nlohmann::ordered_json read_json_object(const std::string& path, std::string_view skipped = {});
/// Bytes of a file of at most `limit` bytes. Throws IoError, FormatError when it is longer.
std::string read_text_file(const std::string& path, std::size_t limit = std::size_t{512} << 20);

/// A borrowed value; the document and the file's name must outlive it. An absent member and null
/// are the same. All `require_` functions throw FormatError naming file and path.
class JsonNode {
 public:
  JsonNode(const nlohmann::ordered_json& value, const std::string& file, std::string path = {})
      : value_(&value), file_(&file), path_(std::move(path)) {}

  const nlohmann::ordered_json& value() const { return *value_; }
  const std::string& file() const { return *file_; }
  const std::string& path() const { return path_; }
  bool is_null() const { return value_->is_null(); }

  /// A member; null when absent. Throws when this is not an object.
  JsonNode get(std::string_view key) const;
  /// Element i of an array. Requires i < size().
  JsonNode at(std::size_t i) const;
  /// Elements of an array; throws when this is none.
  std::size_t size() const;

  std::int64_t require_int(std::int64_t low, std::int64_t high) const;
  /// A finite number in [low, high]. Integers are accepted.
  double require_number(double low, double high) const;
  const std::string& require_string() const;
  bool require_bool() const;
  bool bool_or(bool fallback) const { return is_null() ? fallback : require_bool(); }

  [[noreturn]] void throw_type(std::string_view expected) const;
  /// For values that are valid but not supported: UnsupportedError.
  [[noreturn]] void throw_unsupported(std::string_view supported) const;

 private:
  std::string shown() const;

  const nlohmann::ordered_json* value_;
  const std::string* file_;
  std::string path_;
};

}  // namespace foretoken::convert
