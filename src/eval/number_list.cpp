#include "eval/number_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::eval {
namespace {

constexpr std::size_t kMostNumbers = 1000;

// Digits at the start of `text`, taken off it.
std::optional<std::int64_t> take_number(std::string_view& text) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  return value;
}

bool take(std::string_view& text, char expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(1);
  return true;
}

/// first, first + add, ... or first, first * factor, ... up to last.
struct Range {
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::int64_t add = 1;
  std::int64_t factor = 1;
};

// Nothing when the item is not a number or a range.
std::optional<Range> parse_range(std::string_view item) {
  const auto first = take_number(item);
  if (!first) return std::nullopt;
  Range range{*first, *first};
  if (item.empty()) return range;
  if (!take(item, '-')) return std::nullopt;
  const auto last = take_number(item);
  if (!last) return std::nullopt;
  range.last = *last;
  if (take(item, '+')) {
    const auto step = take_number(item);
    if (!step || *step < 1) return std::nullopt;
    range.add = *step;
  } else if (take(item, '*')) {
    const auto factor = take_number(item);
    if (!factor || *factor < 2 || range.first < 1) return std::nullopt;
    range.add = 0;
    range.factor = *factor;
  }
  if (!item.empty() || range.last < range.first) return std::nullopt;
  return range;
}

void append_range(const Range& range, std::string_view name, std::vector<int>& out) {
  // Neither the sum nor the product overflows: `last` was checked against an int, and take_number
  // keeps steps within 64 bits only, hence the minimum.
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  for (std::int64_t at = range.first; at <= range.last;
       at = at * std::min(range.factor, kMost) + std::min(range.add, kMost)) {
    if (out.size() == kMostNumbers) {
      throw RequestError(fmt::format("{}: more than {} numbers", name, kMostNumbers));
    }
    out.push_back(static_cast<int>(at));
  }
}

}  // namespace

std::vector<int> parse_number_list(std::string_view text, const NumberListRules& rules) {
  std::vector<int> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view item = text.substr(at, comma - at);
    const std::optional<Range> range = parse_range(item);
    if (!range) {
      throw RequestError(
          fmt::format("{}: {} is neither a number nor a range; write for example 512, 1-8, "
                      "0-4096+1024 or 1-16*2",
                      rules.name, quoted(item)));
    }
    if (range->first < rules.least || range->last > rules.most) {
      throw RequestError(fmt::format("{}: {} is out of range; use {} to {}", rules.name,
                                     quoted(item), rules.least, rules.most));
    }
    append_range(*range, rules.name, out);
    at = comma + 1;
  }
  return out;
}

}  // namespace foretoken::eval
