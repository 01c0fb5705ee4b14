// Changes one member of a JSON text and leaves every other byte as it was: order, spacing, the way
// numbers are written. A config.json that went through a parser and back would differ all over.
// Source: RFC 8259.
#pragma once

#include <string>
#include <string_view>

namespace foretoken::convert {

/// `text` with `"key": value` in its object `object` (a member of the top one), or in the top one
/// when `object` is empty. A present value is replaced, a missing member appended as the last,
/// indented like the first. `value` is JSON text; `file` stands in error texts. Throws FormatError
/// when `text` is not one JSON object or has no object of that name.
std::string set_json_member(std::string_view text, std::string_view object, std::string_view key,
                            std::string_view value, const std::string& file);

}  // namespace foretoken::convert
