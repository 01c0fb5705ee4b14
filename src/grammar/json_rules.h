// The parts of JSON as rules, and rules for its strings and integers with restrictions.
// Source: RFC 8259 (JSON), RFC 3339 (dates and times); docs/grammar.md, "JSON schemas".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/rules.h"

namespace foretoken::grammar {

/// Defines the rules space, char, string, integer, number, boolean, null, value, object, array,
/// date, time, date-time and uuid (the last four without quotes).
void add_json_rules(Rules& rules);

/// The characters that stand for themselves inside JSON's strings here: no quotes, backslashes and
/// control characters.
const CharRanges& json_plain_chars();

/// An integer from `min` to `max`, both included; absent: no bound, but at most 16 digits. Requires
/// min <= max.
ExprId integer_range(Rules& rules, std::optional<std::int64_t> min,
                     std::optional<std::int64_t> max);

/// A JSON string, quotes included, that is none of `names` (UTF-8). Needs add_json_rules.
ExprId string_other_than(Rules& rules, const std::vector<std::string>& names);

/// How a pattern's characters stand in the text: inside a JSON string, escaped where JSON wants it,
/// or as they are, but on one line.
enum class TextStyle { JsonString, Plain };

/// A text that matches the regular expression `pattern` (ECMA-262 as far as described in
/// docs/grammar.md), without quotes. Absent for a valid pattern that no grammar of ours says
/// (look-around, back references). Throws RequestError for a malformed one.
std::optional<ExprId> pattern_text(Rules& rules, std::string_view pattern, TextStyle style);

}  // namespace foretoken::grammar
