// Parsing of keys set by hand.
#include "convert/key_override.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::convert {
namespace {

// llama.cpp keeps both in buffers of 128 bytes.
constexpr std::size_t kMaxBytes = 127;

template <class T>
T parse_number(std::string_view text, std::string_view whole) {
  T value{};
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw RequestError(fmt::format("{} in {} is no number that fits", quoted(text), quoted(whole)));
  }
  return value;
}

// The magnitude, which must fit 32 bits; llama-quantize would cut it.
std::uint32_t parse_u32(std::string_view text, std::string_view whole) {
  const auto value = parse_number<std::int64_t>(text, whole);
  if (value > 0xFFFFFFFFLL || value < -0xFFFFFFFFLL) {
    throw RequestError(fmt::format("{} in {} does not fit 32 bits", quoted(text), quoted(whole)));
  }
  return static_cast<std::uint32_t>(std::abs(value));
}

}  // namespace

KeyOverride parse_key_override(std::string_view text) {
  const std::size_t equals = text.find('=');
  const std::size_t colon = equals == text.npos ? text.npos : text.find(':', equals);
  if (colon == text.npos || equals == 0 || equals > kMaxBytes) {
    throw RequestError(fmt::format(
        "{} is not of the form KEY=TYPE:VALUE; for example general.name=str:Paw, with a key of at "
        "most {} bytes and TYPE int, float, bool or str",
        quoted(text), kMaxBytes));
  }
  KeyOverride out{.key = std::string(text.substr(0, equals)), .value = {}};
  const std::string_view type = text.substr(equals + 1, colon - equals - 1);
  const std::string_view value = text.substr(colon + 1);
  if (type == "int") {
    out.value = parse_u32(value, text);
  } else if (type == "float") {
    out.value = static_cast<float>(parse_number<double>(value, text));
  } else if (type == "bool" && (value == "true" || value == "false")) {
    out.value = value == "true";
  } else if (type == "str" && value.size() <= kMaxBytes) {
    out.value = std::string(value);
  } else if (type == "str") {
    throw RequestError(fmt::format("the value in {} has {} bytes, at most {} are possible",
                                   quoted(text), value.size(), kMaxBytes));
  } else {
    throw RequestError(fmt::format(
        "{} has no known type and value: int:12, float:0.5, bool:true, bool:false or str:text",
        quoted(text)));
  }
  return out;
}

void apply(const KeyOverride& override, gguf::Writer& keys) {
  struct Setter {
    gguf::Writer& keys;
    const std::string& key;
    void operator()(std::uint32_t value) const { keys.set_u32(key, value); }
    void operator()(float value) const { keys.set_f32(key, value); }
    void operator()(bool value) const { keys.set_bool(key, value); }
    void operator()(const std::string& value) const { keys.set_string(key, value); }
  };
  std::visit(Setter{keys, override.key}, override.value);
}

}  // namespace foretoken::convert
