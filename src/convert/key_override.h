// `--override-kv KEY=TYPE:VALUE`: keys set by hand in the file to write.
// Source: docs/quantize.md, "Keys"; string_parse_kv_override of llama.cpp de3ff815.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "gguf/writer.h"

namespace foretoken::convert {

struct KeyOverride {
  std::string key;
  /// An "int" is stored as u32, without its sign, as llama-quantize does.
  std::variant<std::uint32_t, float, bool, std::string> value;
};

/// Parses "KEY=TYPE:VALUE", TYPE one of int, float, bool (true or false) and str (at most 127
/// bytes). Throws RequestError for anything else.
KeyOverride parse_key_override(std::string_view text);

void apply(const KeyOverride& override, gguf::Writer& keys);

}  // namespace foretoken::convert
