// `--tensor-type PATTERN=TYPE`: tensors whose name matches a pattern get a type by hand.
// Source: docs/quantize.md, "Types by hand"; llama-quantize of llama.cpp de3ff815.
#pragma once

#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "quant/type.h"

namespace foretoken::convert {

/// Patterns in the order given; the first that matches decides.
class TypeOverrides {
 public:
  /// Adds "PATTERN=TYPE", cut at the first '='. PATTERN is an ECMAScript regular expression that
  /// may match anywhere in a name. It is lower-cased first, as llama-quantize does, so \D, \W and
  /// \S mean \d, \w and \s. Throws RequestError for a malformed text, pattern or type.
  void add(std::string_view text);
  /// Adds the entries of a file, separated by white space. Throws also IoError.
  void add_file(const std::string& path);

  /// Type of the first pattern found in `tensor_name`.
  [[nodiscard]] std::optional<quant::Type> find(const std::string& tensor_name) const;
  bool empty() const { return entries_.empty(); }

 private:
  struct Override {
    std::regex pattern;
    quant::Type type;
  };
  std::vector<Override> entries_;
};

}  // namespace foretoken::convert
